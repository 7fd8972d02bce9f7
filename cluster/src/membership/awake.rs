//! Time during which this node could listen.
//!
//! A process that is stopped for ten seconds has heard nobody for ten seconds, and nobody is to blame. So silence is
//! measured in a time of our own, which goes on by the steps of the clock, but by no more than [`MAX_STEP`] from one
//! call to the next. A clock that is set back or forth is nothing but a step of that kind.
//!
//! ```text
//! clock  0   125   250   (stopped)   10,250   10,375
//! awake  0   125   250                  750      875
//! ```

use super::Micros;

/// The longest step that counts: a few times the distance of two ticks.
pub const MAX_STEP: Micros = 500_000;

/// Turns the clock into time awake, which begins at 0.
#[derive(Clone, Debug)]
pub struct Awake {
    clock: Micros,
    awake: Micros,
}

impl Awake {
    /// Begins at that time of the clock.
    pub fn new(clock: Micros) -> Awake {
        Awake { clock, awake: 0 }
    }

    /// Time awake at that time of the clock.
    pub fn advance(&mut self, clock: Micros) -> Micros {
        let step = clock.saturating_sub(self.clock);
        self.clock = clock;
        self.awake += step.clamp(0, MAX_STEP);
        self.awake
    }

    /// Time awake when it was asked for last.
    pub fn now(&self) -> Micros {
        self.awake
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stops_and_jumps_of_the_clock_count_for_little() {
        let mut awake = Awake::new(1_000);
        assert_eq!(awake.advance(126_000), 125_000);
        assert_eq!(awake.advance(10_000_000), 625_000, "stopped, or set forth");
        assert_eq!(awake.advance(10_125_000), 750_000);
        assert_eq!(awake.advance(i64::MIN), 750_000, "set back");
        assert_eq!(awake.advance(i64::MAX), 1_250_000);
        assert_eq!(awake.advance(i64::MAX), 1_250_000);
    }
}
