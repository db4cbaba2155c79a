//! the feature maths and the jobs that run it on rayon
