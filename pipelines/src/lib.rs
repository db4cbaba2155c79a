//! the feature maths and the jobs that run it on rayon

pub mod synth; // demo data with a truth to learn
