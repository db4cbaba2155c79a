//! dataset to matrix, train, evaluate, explain, encode, predict
