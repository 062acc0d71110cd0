"""Training, from the loop down to the step.

`train` trains seeds and looks at the test set; `epochs` drives the step, by a loop or by `lax.scan`; `step` asks the
teacher for its logits, differentiates the loss and updates the student. `program` is what is compiled, with its data
and state; `batch` draws and augments what the networks see. `replay` takes stored labels in the teacher's place,
`streaming` feeds sets that do not fit on the device, `resume` saves and restores the state, and `plan` says beforehand
what is going to happen.
"""
