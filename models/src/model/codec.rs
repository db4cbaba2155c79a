//! A model as bytes.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | `GRNM` |
//! | 1 | format |
//! | 32 | BLAKE3 of the rest |
//! | the rest | `Stored`, by postcard |

use std::sync::Arc;

use granary_registry::DType;
use serde::{Deserialize, Serialize};

use super::{Metadata, Model, Predictor};
use crate::Error;
use crate::dataset::FeatureColumn;
use crate::encoder::Encoder;

const MAGIC: &[u8; 4] = b"GRNM";
const FORMAT: u8 = 1;
const CHECKSUM: usize = blake3::OUT_LEN;
const HEADER: usize = MAGIC.len() + 1 + CHECKSUM;

/// What a model file holds.
#[derive(Serialize, Deserialize)]
struct Stored {
    features: Vec<StoredFeature>,
    encoder: Encoder,
    predictor: Predictor,
    threshold: f64,
    metadata: Metadata,
}

#[derive(Serialize, Deserialize)]
struct StoredFeature {
    name: String,
    /// As the registry writes it.
    dtype: String,
}

impl Model {
    /// The model as bytes; the same model gives the same bytes.
    pub fn encode(&self) -> Vec<u8> {
        let feature = |feature: &FeatureColumn| StoredFeature {
            name: feature.name.to_string(),
            dtype: feature.dtype.to_string(),
        };
        let stored = Stored {
            features: self.features.iter().map(feature).collect(),
            encoder: self.encoder.clone(),
            predictor: self.predictor.clone(),
            threshold: self.threshold,
            metadata: self.metadata.clone(),
        };
        let body =
            postcard::to_stdvec(&stored).expect("every length is known and memory only grows");
        sealed(&body)
    }

    /// Reads the bytes of a model. Whatever they are, the answer is a model that predicts
    /// without panicking, or an error.
    pub fn decode(bytes: &[u8]) -> Result<Model, Error> {
        let Some((&format, rest)) = bytes.strip_prefix(MAGIC).and_then(<[u8]>::split_first) else {
            return Err(Error::NotAModel);
        };
        if format != FORMAT {
            return Err(Error::Format {
                found: format,
                supported: FORMAT,
            });
        }
        let Some((checksum, body)) = rest.split_at_checked(CHECKSUM) else {
            return Err(corrupt("it ends within its header"));
        };
        if blake3::hash(body).as_bytes() != checksum {
            return Err(corrupt("its checksum does not match its bytes"));
        }
        let (stored, rest) = postcard::take_from_bytes::<Stored>(body)
            .map_err(|error| corrupt(&error.to_string()))?;
        if !rest.is_empty() {
            return Err(corrupt("bytes follow its end"));
        }
        stored.check()
    }
}

impl Stored {
    /// A model whose parts fit together.
    fn check(self) -> Result<Model, Error> {
        let features = self.features.into_iter().map(StoredFeature::check);
        let features = features.collect::<Result<Vec<FeatureColumn>, Error>>()?;
        let mut encoded = features.iter().enumerate();
        let encoder = self.encoder;
        if features.len() != encoder.features()
            || !encoded.all(|(at, feature)| encoder.takes(at, feature.dtype))
        {
            return Err(corrupt("its encoder does not match its features"));
        }
        if !encoder.is_sound() {
            return Err(corrupt("its encoder contradicts itself"));
        }
        if !self.predictor.is_sound(&encoder) {
            return Err(corrupt("its predictor does not match its encoder"));
        }
        let (predictor, threshold, metadata) = (self.predictor, self.threshold, self.metadata);
        Ok(Model {
            features,
            encoder,
            predictor,
            threshold,
            metadata,
        })
    }
}

impl StoredFeature {
    fn check(self) -> Result<FeatureColumn, Error> {
        let named = DType::NAMES.iter().find(|(name, _)| *name == self.dtype);
        let &(_, dtype) =
            named.ok_or_else(|| corrupt(&format!("feature type `{}` is unknown", self.dtype)))?;
        Ok(FeatureColumn {
            name: Arc::from(self.name),
            dtype,
        })
    }
}

/// The header, then the body.
fn sealed(body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + body.len());
    bytes.extend_from_slice(MAGIC);
    bytes.push(FORMAT);
    bytes.extend_from_slice(blake3::hash(body).as_bytes());
    bytes.extend_from_slice(body);
    bytes
}

fn corrupt(reason: &str) -> Error {
    Error::Corrupt {
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests;
