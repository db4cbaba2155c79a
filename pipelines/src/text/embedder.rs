//! The seam between texts and whatever turns them into vectors. Implemented by the
//! embedder in the binary and by those that need weights.

/// Turns a text into a vector of a fixed length.
pub trait Embedder: Send + Sync {
    /// Model, version, dimension and precision: `hashed-ngrams/1/64/f32`. Equal ids
    /// promise equal vectors for equal texts.
    fn id(&self) -> &str;

    /// Length of its vectors.
    fn dimension(&self) -> usize;

    /// Writes the vector of a text to `out`, which is `dimension` long.
    fn embed(&self, text: &str, out: &mut [f32]);
}
