//! the feature maths and the jobs that run it on rayon

pub mod expression; // `where`, `input` and derived features, over columns and over values
pub mod quality; // expectations about finished columns, and their statistics
pub mod text; // sentiment and embeddings of texts
