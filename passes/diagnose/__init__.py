"""What goes wrong in a training step: saturated and dead units, gradients that vanish, explode, are zero or clipped.

    measure.py     runs captured graphs operator by operator, and keeps statistics of values and gradients
    findings.py    bounds, and what is beyond them
    diagnosis.py   findings and figures as a table, and as a plot
    plot.py        the plot, with matplotlib

Knows nothing of how graphs are captured: `Measurement.compile` is a backend. The checks are those of
"Yes you should understand backprop" (Karpathy, 2016), and of "Understanding the difficulty of training deep
feedforward neural networks" (Glorot and Bengio, 2010).
"""
