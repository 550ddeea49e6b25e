"""The chapters' own pictures, one module for each kind; what a reader's own notebook needs is `splinelab.charts`."""
