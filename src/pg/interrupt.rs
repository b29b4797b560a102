//! Cancel, timeout and shutdown inside long Rust loops.

/// Looks for a pending cancel every so many steps; a loop over user data calls [`Pulse::tick`] once a step.
///
/// A pending cancel ends the statement by raising 57014, so no half-changed state may be reachable from outside the loop.
#[derive(Debug, Default)]
pub struct Pulse(u32);

/// 2^14 steps of some tens of nanoseconds each: a cancel is seen within a millisecond, and the check is not.
const STEPS: u32 = 1 << 14;

impl Pulse {
    /// A fresh counter.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts a step.
    #[inline]
    pub fn tick(&mut self) {
        self.0 += 1;
        if self.0 >= STEPS {
            self.0 = 0;
            pgrx::check_for_interrupts!();
        }
    }
}
