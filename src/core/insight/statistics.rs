//! Statistics of two shares: how many of the members of a group have a value, and how many of those outside it.

/// The quantile 0.975 of the standard normal distribution: two-sided intervals of 95 %.
const Z_95: f64 = 1.959_963_984_540_054;

/// Below this many expected profiles in any of the four cells the normal approximation is not trusted.
const LEAST_EXPECTED: f64 = 5.0;

/// Weights of tables this close count as equal, so that rounding does not drop the table that mirrors the one observed. R's `fisher.test`
/// takes the same factor.
const EQUAL_WEIGHTS: f64 = 1.0 + 1e-7;

/// A table of two groups, that have a value or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TwoByTwo {
    /// Members of the first group that have the value.
    pub inside: u64,
    /// Members of the first group.
    pub members: u64,
    /// Members of the second group that have the value.
    pub outside: u64,
    /// Members of the second group, which shares none with the first.
    pub others: u64,
}

/// How a p came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Test {
    /// The two-proportion z test with the pooled share.
    Z,
    /// Fisher's exact test.
    Fisher,
}

impl TwoByTwo {
    /// The two-proportion z statistic with the pooled share; `None` when a group is empty, or when everybody or nobody has the value.
    pub fn z(&self) -> Option<f64> {
        let (a, n, c, m) = self.floats();
        let pooled = (a + c) / (n + m);
        let variance = pooled * (1.0 - pooled) * (1.0 / n + 1.0 / m);
        (n > 0.0 && m > 0.0 && variance > 0.0).then(|| (a / n - c / m) / variance.sqrt())
    }

    /// The two-sided probability of shares at least as different when both groups are drawn alike: by Fisher's exact test where a cell
    /// is expected to hold fewer than five, else from z. `None` as for [`Self::z`].
    pub fn p(&self) -> Option<(f64, Test)> {
        let z = self.z()?;
        if self.least_expected() < LEAST_EXPECTED {
            return Some((self.fisher(), Test::Fisher));
        }
        Some((two_sided(z), Test::Z))
    }

    /// ln of the odds ratio, with 0.5 added to every cell (Haldane and Anscombe), so that it is finite whatever the cells.
    pub fn log_odds(&self) -> f64 {
        let (a, n, c, m) = self.floats();
        ((a + 0.5) / (n - a + 0.5)).ln() - ((c + 0.5) / (m - c + 0.5)).ln()
    }

    fn floats(&self) -> (f64, f64, f64, f64) {
        (self.inside as f64, self.members as f64, self.outside as f64, self.others as f64)
    }

    fn least_expected(&self) -> f64 {
        let (a, n, c, m) = self.floats();
        n.min(m) * (a + c).min(n - a + m - c) / (n + m)
    }

    /// Fisher's exact test: the sum of the probabilities of all tables with these margins that are no likelier than this one.
    ///
    /// The weights are walked outwards from the likeliest table, each from its neighbour, so no factorial is needed; one that is less than
    /// 10^-308 of the likeliest counts as zero. The walk is as long as the smallest margin.
    pub fn fisher(&self) -> f64 {
        let (a, n, c, m) = self.floats();
        let having = a + c;
        let (low, high) = ((having - m).max(0.0), having.min(n));
        let mode = ((n + 1.0) * (having + 1.0) / (n + m + 2.0)).floor().clamp(low, high);
        // From x to x + 1, as a factor of the weight.
        let up = |x: f64| (having - x) * (n - x) / ((x + 1.0) * (m - having + x + 1.0));
        let weight_at = |to: f64| {
            let (mut x, mut weight) = (mode, 1.0);
            while x < to {
                weight *= up(x);
                x += 1.0;
            }
            while x > to {
                x -= 1.0;
                weight /= up(x);
            }
            weight
        };
        let limit = weight_at(a) * EQUAL_WEIGHTS;
        let (mut all, mut unlikely) = (0.0, 0.0);
        let mut take = |weight: f64| {
            all += weight;
            if weight <= limit {
                unlikely += weight;
            }
        };
        let (mut x, mut weight) = (mode, 1.0);
        take(weight);
        while x < high {
            weight *= up(x);
            x += 1.0;
            take(weight);
        }
        (x, weight) = (mode, 1.0);
        while x > low {
            x -= 1.0;
            weight /= up(x);
            take(weight);
        }
        (unlikely / all).min(1.0)
    }
}

/// The two-sided tail of the standard normal distribution beyond ±z.
pub fn two_sided(z: f64) -> f64 {
    libm::erfc(z.abs() * std::f64::consts::FRAC_1_SQRT_2)
}

/// Wilson's interval of 95 % for the share that `inside` of `members` are drawn from; `None` without members.
///
/// Wilson, E. B.: Probable inference, the law of succession, and statistical inference. JASA 22 (1927).
pub fn wilson(inside: u64, members: u64) -> Option<(f64, f64)> {
    if members == 0 {
        return None;
    }
    let (n, share) = (members as f64, inside as f64 / members as f64);
    let z2 = Z_95 * Z_95;
    let middle = (share + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z_95 / (1.0 + z2 / n) * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
    // At no member and at all members an end is the share itself, but for rounding.
    let low = if inside == 0 { 0.0 } else { middle - half };
    let high = if inside == members { 1.0 } else { middle + half };
    Some((low.max(0.0), high.min(1.0)))
}

/// The p of several tests, adjusted so that among those below a limit the expected share of false ones is below it too.
///
/// Benjamini, Y., Hochberg, Y.: Controlling the false discovery rate. JRSS B 57 (1995).
pub fn false_discovery(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    let of = |index: usize| p.get(index).copied().unwrap_or(1.0);
    order.sort_by(|a, b| of(*b).total_cmp(&of(*a)));
    let tests = p.len() as f64;
    let mut adjusted = vec![1.0; p.len()];
    let mut least = 1.0f64;
    for (index, rank) in order.into_iter().zip((1..=p.len()).rev()) {
        least = least.min(of(index) * tests / rank as f64);
        if let Some(place) = adjusted.get_mut(index) {
            *place = least;
        }
    }
    adjusted
}

/// The logarithm of how many times higher the odds of a value are among `members` than in the base, each share with one profile more that
/// has the value and one that has not (Laplace).
pub fn smoothed_log_odds(inside: u64, members: u64, base_inside: u64, base: u64) -> f64 {
    let odds = |have: u64, all: u64| ((have as f64 + 1.0) / (all.saturating_sub(have) as f64 + 1.0)).ln();
    odds(inside, members) - odds(base_inside, base)
}
