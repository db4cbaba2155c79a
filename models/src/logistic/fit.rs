//! Fits logistic regression and guards the side of its classes.

use linfa::DatasetBase;
use linfa::traits::Fit;
use linfa_logistic::LogisticRegression;
use ndarray::Array1;

use super::{Logistic, Params};
use crate::train::Training;
use crate::{Algorithm, Error, Progress};

/// Weights for the linear form.
pub(crate) fn fit(training: &Training<'_>, params: &Params) -> Result<Logistic, Error> {
    (training.progress)(Progress::Started {
        algorithm: Algorithm::Logistic,
    });
    let form = training.linear;
    let matrix = form.matrix(training.train.encoded);
    let labels = Array1::from(training.train.labels.to_vec());
    let rows = matrix.nrows().max(1) as f64;
    let fitted = LogisticRegression::default()
        .alpha(params.l2)
        .max_iterations(params.max_iterations)
        .gradient_tolerance(params.tolerance * rows)
        .fit(&DatasetBase::new(matrix, labels))
        .map_err(|source| Error::Fit {
            algorithm: Algorithm::Logistic,
            source: Box::new(source),
        })?;
    // linfa calls the more frequent label positive; here positive is always `true`.
    let side = if fitted.labels().pos.class { 1.0 } else { -1.0 };
    Ok(Logistic {
        form: form.clone(),
        weights: fitted.params().iter().map(|weight| side * weight).collect(),
        intercept: side * fitted.intercept(),
    })
}
