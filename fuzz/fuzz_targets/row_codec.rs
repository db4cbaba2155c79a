//! Bytes of a stored row and its vectors: read where they lie, they are features or an error.

#![no_main]

use std::sync::{Arc, LazyLock};

use granary_pipelines::text::{Embedder, HashedNgrams};
use granary_pipelines::{RowMemory, Serving};
use granary_registry::{EventTime, Registry};
use libfuzzer_sys::fuzz_target;

static SERVING: LazyLock<Serving> = LazyLock::new(|| {
    let registry = Registry::parse(include_str!("../../registry.yaml")).unwrap();
    let entity = registry.entities[0].clone();
    let embedder: Arc<dyn Embedder> = Arc::new(HashedNgrams);
    Serving::new(registry, &entity, &embedder).unwrap()
});

fuzz_target!(|bytes: &[u8]| {
    let Some((&cut, bytes)) = bytes.split_first() else {
        return;
    };
    let cut = bytes.len() * usize::from(cut) / 256;
    let (row, vectors) = bytes.split_at(bytes.len() - cut);
    let features: Vec<usize> = (0..SERVING.features.len()).collect();
    let wanted = SERVING.wanted(&features);
    for vectors in [None, Some(vectors)] {
        let mut memory = RowMemory::default();
        let Ok(found) = SERVING.find("u", row, &wanted, &mut memory) else {
            continue;
        };
        let opened = SERVING.open("u", row, vectors, &wanted, found, &mut memory);
        if let Ok(mut open) = opened {
            let as_of = open.newest().unwrap_or(EventTime(0));
            let as_of = EventTime(as_of.0.saturating_add(1));
            let _ = open.values(&features, as_of);
        }
    }
});
