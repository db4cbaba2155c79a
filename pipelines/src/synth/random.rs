//! Random numbers that never change: xoshiro256++ 1.0 seeded by SplitMix64, both
//! by Blackman and Vigna (<https://prng.di.unimi.it>, public domain). Called by
//! everything in `synth` that draws, and by the drawing of samples to verify.

/// One stream of random numbers.
pub(crate) struct Random {
    state: [u64; 4],
}

impl Random {
    /// The stream of one user under one seed.
    pub(crate) fn stream(seed: u64, user: u64) -> Random {
        let mut counter = mix(seed) ^ mix(!user);
        let mut word = || {
            counter = counter.wrapping_add(0x9e37_79b9_7f4a_7c15);
            mix(counter)
        };
        Random {
            state: [word(), word(), word(), word()],
        }
    }

    /// 64 random bits.
    #[inline]
    pub(crate) fn bits(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c, d) = (c ^ a, d ^ b);
        self.state = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        result
    }

    /// Uniform in [0, 1).
    #[inline]
    pub(crate) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// Uniform in `low..high`.
    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + self.unit() * (high - low)
    }

    /// Uniform in `0..count`; 0 if `count` is 0.
    #[inline]
    pub(crate) fn below(&mut self, count: usize) -> usize {
        scale(self.bits() >> 32, count)
    }

    /// True with the given probability.
    #[inline]
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Standard normal (Box and Muller).
    pub(super) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// Exponential with the given mean.
    pub(super) fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }

    /// One of the choices, all alike.
    pub(super) fn pick<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len())]
    }

    /// An index, drawn by weight.
    pub(super) fn weighted(&mut self, weights: &[f64]) -> usize {
        let mut left = self.unit() * weights.iter().sum::<f64>();
        for (index, weight) in weights.iter().enumerate() {
            left -= weight;
            if left < 0.0 {
                return index;
            }
        }
        weights.len() - 1
    }
}

/// 32 random bits as an index below `count`.
#[inline]
pub(super) fn scale(bits32: u64, count: usize) -> usize {
    ((bits32 * count as u64) >> 32) as usize
}

/// The finalizer of SplitMix64.
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn follows_the_published_sequence() {
        let mut random = Random {
            state: [1, 2, 3, 4],
        };
        let expected = [
            41_943_041,
            58_720_359,
            3_588_806_011_781_223,
            3_591_011_842_654_386,
            9_228_616_714_210_784_205,
            9_973_669_472_204_895_162,
            14_011_001_112_246_962_877,
            12_406_186_145_184_390_807,
            15_849_039_046_786_891_736,
            10_450_023_813_501_588_000,
        ];
        for value in expected {
            assert_eq!(random.bits(), value);
        }
    }

    #[test]
    fn streams_differ() {
        let first = |seed, user| Random::stream(seed, user).bits();
        assert_ne!(first(1, 0), first(0, 1));
        assert_ne!(first(1, 1), first(1, 2));
        assert_ne!(first(2, 1), first(1, 1));
    }
}
