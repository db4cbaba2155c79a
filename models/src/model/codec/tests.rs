//! Bytes give back the same model, and broken bytes an error.

use proptest::prelude::*;

use super::*;
use crate::model::tests::trained;

#[test]
fn a_decoded_model_is_the_same_model() {
    let (models, made) = trained();
    for model in &models {
        let bytes = model.encode();
        let decoded = Model::decode(&bytes).unwrap();
        assert!(&decoded == model);
        assert_eq!(decoded.encode(), bytes);
        assert_eq!(decoded.metadata().notes["command"], "granary train");
        let [a, b] = [model, &decoded].map(|of| of.predict_batch(&made.batches).unwrap());
        assert_eq!(a, b);
    }
}

#[test]
fn foreign_old_and_cut_bytes_are_told_apart() {
    let bytes = trained().0[0].encode();
    assert!(matches!(
        Model::decode(b"PAR1 something else"),
        Err(Error::NotAModel)
    ));
    assert!(matches!(Model::decode(b""), Err(Error::NotAModel)));
    let mut newer = bytes.clone();
    newer[4] = 2;
    assert!(matches!(
        Model::decode(&newer),
        Err(Error::Format {
            found: 2,
            supported: 1
        })
    ));
    for length in [5, 20, HEADER, bytes.len() - 1] {
        assert!(
            matches!(Model::decode(&bytes[..length]), Err(Error::Corrupt { .. })),
            "{length}"
        );
    }
}

#[test]
fn changed_bytes_are_an_error_and_never_a_panic() {
    let (models, made) = trained();
    let bytes: Vec<Vec<u8>> = models.iter().map(Model::encode).collect();
    let row = &made.values[0];
    let place = any::<prop::sample::Index>();
    proptest!(ProptestConfig::with_cases(400), |(which in 0..3_usize, place in place, early in any::<bool>(), to in any::<u8>())| {
        let mut changed = bytes[which].clone();
        // Half of the changes hit the beginning, where the structure is.
        let span = if early { changed.len().min(HEADER + 600) } else { changed.len() };
        let place = place.index(span);
        prop_assume!(changed[place] != to);
        changed[place] = to;
        prop_assert!(Model::decode(&changed).is_err());
        // Under a right checksum the parts must still fit together.
        if place >= HEADER && let Ok(model) = Model::decode(&sealed(&changed[HEADER..])) {
            let nulls = vec![granary_registry::Value::Null; model.features().len()];
            prop_assert!(model.predict(&nulls).is_ok());
            let _ = model.predict(row);
        }
    });
}
