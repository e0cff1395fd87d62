"""Rankings of features by the training of one perceptron that loses inputs on the way."""
