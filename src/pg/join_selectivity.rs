//! Join selectivity: which part of the pairs of rows a condition between two columns keeps.
//!
//! Values that ANALYZE kept of both columns are paired, the operator is evaluated for each pair, and each pair counts as
//! often as its values do. That costs up to 10,000 evaluations, a few milliseconds once for a condition.

use pgrx::datum::Internal;
use pgrx::pg_sys;

use super::varlena::Detoasted;
use crate::error::CdpError;

/// What a JOIN estimator is called with.
pub struct JoinCondition<'a> {
    /// The planner's state.
    pub root: &'a Internal,
    /// The operator.
    pub operator: pg_sys::Oid,
    /// Its two arguments.
    pub arguments: &'a Internal,
    /// Which relations are joined, and how.
    pub join: &'a Internal,
}

/// The most values taken of one column.
const MOST_VALUES: usize = 100;

/// A value that ANALYZE kept.
struct Value {
    datum: pg_sys::Datum,
    /// The part of the rows it stands for.
    weight: f64,
    /// Whether it is one of the most common ones, which stand for themselves; the others stand for their neighbours too.
    common: bool,
}

/// What is known of a column.
struct Column {
    variable: pg_sys::VariableStatData,
    slots: Vec<pg_sys::AttStatsSlot>,
    values: Vec<Value>,
    distinct: f64,
}

impl JoinCondition<'_> {
    /// The estimate; `default` where there are no statistics of one of the columns.
    ///
    /// `members` gives the number of members of a set, which is of a variable-length type. Beside a column of another type, as in `id
    /// <@ set`, where the few values of a histogram say little, the members of a set over the column's distinct values bound
    /// the answer.
    pub fn estimate(&self, default: f64, members: impl Fn(&[u8]) -> Option<f64>) -> Result<f64, CdpError> {
        // SAFETY: PostgreSQL passes a join estimator its planner state, a list of the operator's two arguments and the join. What the
        // planner lends is read while it is lent: the statistics are released at the end; an error in between ends the planning,
        // whose resource owner releases them.
        unsafe {
            let (Some(root), Some(arguments), Some(join)) = (
                self.root.get::<pg_sys::PlannerInfo>(),
                self.arguments.get::<pg_sys::List>(),
                self.join.get::<pg_sys::SpecialJoinInfo>(),
            ) else {
                return Err(CdpError::not_supported("an estimator was called by something else than the planner"));
            };
            let (mut left, mut right) = (pg_sys::VariableStatData::default(), pg_sys::VariableStatData::default());
            let mut reversed = false;
            pg_sys::get_join_variables(
                std::ptr::from_ref(root).cast_mut(),
                std::ptr::from_ref(arguments).cast_mut(),
                std::ptr::from_ref(join).cast_mut(),
                &mut left,
                &mut right,
                &mut reversed,
            );
            let function = pg_sys::get_opcode(self.operator);
            let (left, right) = (Column::read(left, function), Column::read(right, function));
            let estimate = if left.values.is_empty() || right.values.is_empty() {
                default
            } else {
                let pairs = Pairs::evaluate(&left, &right, function);
                match join.jointype {
                    pg_sys::JoinType::JOIN_SEMI | pg_sys::JoinType::JOIN_ANTI => {
                        let inner = if reversed { &left } else { &right };
                        pairs.matched(reversed, inner.rows())
                    }
                    _ => pairs.kept(&left, &right, &members),
                }
            };
            left.release();
            right.release();
            Ok(estimate.clamp(0.0, 1.0))
        }
    }
}

impl Column {
    /// Reads the statistics, unless the user may not see what `function` would tell of them.
    ///
    /// # Safety
    /// `variable` must come from the planner.
    unsafe fn read(mut variable: pg_sys::VariableStatData, function: pg_sys::Oid) -> Self {
        let (mut slots, mut values, mut distinct) = (Vec::new(), Vec::new(), 0.0);
        // SAFETY: the statistics tuple is valid until it is released; a slot says how many values and numbers it has.
        unsafe {
            if !variable.statsTuple.is_null() && pg_sys::statistic_proc_security_check(&mut variable, function) {
                let row = pg_sys::GETSTRUCT(variable.statsTuple).cast::<pg_sys::FormData_pg_statistic>();
                let mut rest = 1.0 - f64::from((*row).stanullfrac);
                let [mut common, mut histogram] = [pg_sys::AttStatsSlot::default(); 2];
                let (values_only, numbers_too) =
                    (pg_sys::ATTSTATSSLOT_VALUES, pg_sys::ATTSTATSSLOT_VALUES | pg_sys::ATTSTATSSLOT_NUMBERS);
                for (slot, kind, parts) in [
                    (&mut common, pg_sys::STATISTIC_KIND_MCV, numbers_too),
                    (&mut histogram, pg_sys::STATISTIC_KIND_HISTOGRAM, values_only),
                ] {
                    pg_sys::get_attstatsslot(slot, variable.statsTuple, kind as i32, pg_sys::InvalidOid, parts as i32);
                }
                let spread = histogram.nvalues.max(0) as usize;
                let most = if spread > 0 { MOST_VALUES / 2 } else { MOST_VALUES };
                for i in 0..most.min(common.nvalues.min(common.nnumbers).max(0) as usize) {
                    let weight = f64::from(*common.numbers.add(i));
                    rest -= weight;
                    values.push(Value { datum: *common.values.add(i), weight, common: true });
                }
                let rest = rest.max(0.0);
                let taken = spread.min(MOST_VALUES - values.len());
                for i in 0..taken {
                    // From the middle of each of `taken` equal parts.
                    let datum = *histogram.values.add((2 * i + 1) * spread / (2 * taken));
                    values.push(Value { datum, weight: rest / taken as f64, common: false });
                }
                if taken == 0 {
                    // What is not kept is taken to be like what is.
                    let seen: f64 = values.iter().map(|value| value.weight).sum();
                    values.iter_mut().for_each(|value| value.weight *= (seen + rest) / seen.max(f64::MIN_POSITIVE));
                }
                slots = vec![common, histogram];
                let mut is_default = false;
                distinct = pg_sys::get_variable_numdistinct(&mut variable, &mut is_default);
                if is_default {
                    distinct = 0.0;
                }
            }
        }
        Self { variable, slots, values, distinct }
    }

    /// Rows of its relation, after the conditions on that alone.
    ///
    /// # Safety
    /// The column must not have been released.
    unsafe fn rows(&self) -> f64 {
        // SAFETY: the planner's relation lives as long as the planning.
        unsafe { self.variable.rel.as_ref() }.map_or(1.0, |relation| relation.rows.max(1.0))
    }

    /// Gives the statistics back.
    ///
    /// # Safety
    /// The values must not be used any more.
    unsafe fn release(mut self) {
        // SAFETY: each slot and the tuple are released once.
        unsafe {
            self.slots.iter_mut().for_each(|slot| pg_sys::free_attstatsslot(slot));
            if let (false, Some(free)) = (self.variable.statsTuple.is_null(), self.variable.freefunc) {
                free(self.variable.statsTuple);
            }
        }
    }
}

/// Each pair of a left and a right value: their weights, whether both are common values, whether the operator holds.
struct Pairs {
    left: usize,
    right: usize,
    /// Row by row: the left value first.
    holds: Vec<bool>,
    weights: (Vec<f64>, Vec<f64>),
    common: (Vec<bool>, Vec<bool>),
}

impl Pairs {
    /// # Safety
    /// `function` must be the strict function of an operator on the types of the columns.
    unsafe fn evaluate(left: &Column, right: &Column, function: pg_sys::Oid) -> Self {
        let mut holds = Vec::with_capacity(left.values.len() * right.values.len());
        // SAFETY: the function takes the two values and returns a boolean.
        unsafe {
            let mut call = pg_sys::FmgrInfo::default();
            pg_sys::fmgr_info(function, &mut call);
            for a in &left.values {
                for b in &right.values {
                    let answer = pg_sys::FunctionCall2Coll(&mut call, pg_sys::InvalidOid, a.datum, b.datum);
                    holds.push(answer.value() as u8 != 0);
                }
            }
        }
        let weights = |column: &Column| column.values.iter().map(|value| value.weight).collect();
        let common = |column: &Column| column.values.iter().map(|value| value.common).collect();
        Self {
            left: left.values.len(),
            right: right.values.len(),
            holds,
            weights: (weights(left), weights(right)),
            common: (common(left), common(right)),
        }
    }

    fn pairs(&self) -> impl Iterator<Item = (usize, usize, bool)> + '_ {
        self.holds.iter().enumerate().map(|(at, holds)| (at / self.right, at % self.right, *holds))
    }

    /// The part of all pairs of rows that is kept.
    ///
    /// # Safety
    /// The columns must be those that were evaluated, not yet released.
    unsafe fn kept(&self, left: &Column, right: &Column, members: &impl Fn(&[u8]) -> Option<f64>) -> f64 {
        // Pairs of a value that stands for its neighbours are a sample; those of two common values are what there is.
        let (mut exact, mut sampled, mut mass, mut number) = (0.0, 0.0, 0.0, 0.0);
        for (i, j, holds) in self.pairs() {
            let weight = self.weights.0[i] * self.weights.1[j];
            if self.common.0[i] && self.common.1[j] {
                exact += if holds { weight } else { 0.0 };
            } else {
                (mass, number) = (mass + weight, number + 1.0);
                sampled += if holds { weight } else { 0.0 };
            }
        }
        if sampled == 0.0 && number > 0.0 {
            // None of the sample: less than one in as many.
            sampled = mass / (2.0 * number);
        }
        // SAFETY: the caller's promise.
        if let Some(bound) = unsafe { self.member_bound(left, right, members) } {
            sampled = sampled.min(bound);
        }
        exact + sampled
    }

    /// Beside a set, the numbers that are not common ones: each of the column's distinct numbers is as likely to be a member as another, so
    /// that the members of a set over those numbers are the part that is in it.
    ///
    /// # Safety
    /// As for [`Pairs::kept`].
    unsafe fn member_bound(
        &self,
        left: &Column,
        right: &Column,
        members: &impl Fn(&[u8]) -> Option<f64>,
    ) -> Option<f64> {
        // SAFETY: a look into the catalog.
        let is_set = |column: &Column| unsafe { pg_sys::get_typlen(column.variable.vartype) } == -1;
        let (sets, numbers) = match (is_set(left), is_set(right)) {
            (true, false) => (left, right),
            (false, true) => (right, left),
            _ => return None,
        };
        let (mut sum, mut mass) = (0.0, 0.0);
        for value in &sets.values {
            // SAFETY: the value of a variable-length type.
            let members = members(unsafe { Detoasted::new(value.datum) }.bytes())?;
            (sum, mass) = (sum + members * value.weight, mass + value.weight);
        }
        let common: f64 = numbers.values.iter().filter(|value| value.common).map(|value| value.weight).sum();
        let all: f64 = numbers.values.iter().map(|value| value.weight).sum();
        let others = numbers.distinct - numbers.values.iter().filter(|value| value.common).count() as f64;
        // sum / mass members in a set, of which each is one of `others` numbers.
        (others >= 1.0 && mass > 0.0).then(|| mass * (all - common).max(0.0) * (sum / mass / others).min(1.0))
    }

    /// The part of the rows of the outer side that find a partner among `rows` rows of the inner side.
    fn matched(&self, reversed: bool, rows: f64) -> f64 {
        let mut partners = vec![0.0; if reversed { self.right } else { self.left }];
        for (i, j, _) in self.pairs().filter(|(_, _, holds)| *holds) {
            let (outer, weight) = if reversed { (j, self.weights.0[i]) } else { (i, self.weights.1[j]) };
            partners[outer] += weight;
        }
        let outer = if reversed { &self.weights.1 } else { &self.weights.0 };
        outer.iter().zip(partners).map(|(weight, part)| weight * (1.0 - (1.0 - f64::min(part, 1.0)).powf(rows))).sum()
    }
}
