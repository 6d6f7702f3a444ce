//! Random numbers, integers only.

use rand::Rng;
use rand_pcg::Pcg64Mcg;

/// One, in the fixed point numbers of this module's users: 16 bits after the point.
pub(super) const ONE: i64 = 1 << 16;

/// Two odd 64-bit constants side by side, so that neighbouring seeds start far apart.
const SPREAD: u128 = 0x9e37_79b9_7f4a_7c15_d1b5_4a32_d192_ed03;

/// The one source of chance of a simulated market.
pub(super) struct Draw(Pcg64Mcg);

impl Draw {
    pub(super) fn new(seed: u64) -> Self {
        let mut generator = Pcg64Mcg::new((u128::from(seed) + 1).wrapping_mul(SPREAD));
        // The multiplicative generator needs a few steps until the low bits of the seed reach its output.
        for _ in 0..8 {
            generator.next_u64();
        }
        Self(generator)
    }

    /// Uniform in `0..count`. The bias of the multiplication, `count` in 2³², does not matter here.
    pub(super) fn below(&mut self, count: u32) -> u32 {
        ((u64::from(self.next_u32()) * u64::from(count)) >> 32) as u32
    }

    /// Uniform index of that many, which are at most [`crate::limits::INSTRUMENTS_MAX`]; 0 for none.
    pub(super) fn index(&mut self, length: usize) -> usize {
        ((u64::from(self.next_u32()) * length as u64) >> 32) as usize
    }

    /// Uniform in `low..low + count`.
    pub(super) fn from(&mut self, low: i64, count: u32) -> i64 {
        low + i64::from(self.below(count))
    }

    /// Uniform in `-reach..=reach`; `reach` below 2³¹.
    pub(super) fn sway(&mut self, reach: u32) -> i64 {
        i64::from(self.below(2 * reach + 1)) - i64::from(reach)
    }

    /// Exponential with mean [`ONE`], at most 16 times that.
    ///
    /// The logarithm of a uniform number to base 2 is its leading zeros plus what its other bits say; reading those
    /// as a straight line costs a few percent of shape and no floating point. The mean of it is exactly 3/2.
    pub(super) fn exponential(&mut self) -> u32 {
        let uniform = self.0.next_u64() | (1 << 40);
        let zeros = uniform.leading_zeros();
        let rest = ((uniform << zeros << 1) >> 48) as u32;
        ((zeros << 16) + (0xffff - rest)) * 2 / 3
    }

    fn next_u32(&mut self) -> u32 {
        (self.0.next_u64() >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_and_ranges_are_what_they_say() {
        const DRAWS: i64 = 200_000;
        let mut draw = Draw::new(7);
        let exponential: i64 = (0..DRAWS).map(|_| i64::from(draw.exponential())).sum();
        assert!((exponential / DRAWS - ONE).abs() < ONE / 100, "mean {}", exponential / DRAWS);
        let sway: i64 = (0..DRAWS).map(|_| draw.sway(1_000)).inspect(|s| assert!(s.abs() <= 1_000)).sum();
        assert!((sway / DRAWS).abs() < 10);
        let mut seen = [0_i64; 10];
        for _ in 0..DRAWS {
            seen[draw.index(10)] += 1;
        }
        assert!(seen.iter().all(|&count| (count - DRAWS / 10).abs() < DRAWS / 100), "{seen:?}");
        assert_eq!((draw.index(0), draw.index(1), draw.below(1)), (0, 0, 0));
    }
}
