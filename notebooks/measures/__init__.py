"""Measurements that chapters share: functions of arrays, so that a shipped net and a large one run the same."""
