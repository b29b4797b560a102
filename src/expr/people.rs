//! Members of questions, kept shard by shard while columns are read one after the other.

use super::question::Question;
use super::set::{self, Inputs, borrowed};
use crate::error::CdpError;
use crate::store::read::{Listing, Slots, Wanted};
use pg_cdp_core::bitmap::{Bytes, Portable};
use pg_cdp_core::cells::Encoding;
use pg_cdp_core::insight::holdout;
use pg_cdp_core::plan::Source;
use pg_cdp_core::program::{self, Node, Program};
use std::collections::BTreeMap;

/// A set of profiles by shard, as set chunks.
#[derive(Default)]
pub struct People {
    shards: BTreeMap<u32, Vec<u8>>,
    count: u64,
}

impl People {
    fn add(&mut self, shard: u32, set: Option<Vec<u8>>) -> Result<(), CdpError> {
        if let Some(set) = set {
            self.count += Portable::open_shard(&set)?.cardinality();
            self.shards.insert(shard, set);
        }
        Ok(())
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Those of a shard.
    pub fn of(&self, shard: u32) -> Option<Bytes<'_>> {
        self.shards.get(&shard).map(Bytes::from)
    }

    /// Each shard with those of it.
    pub fn shards(&self) -> Vec<(u32, Bytes<'_>)> {
        self.shards.iter().map(|(shard, set)| (*shard, Bytes::from(set))).collect()
    }
}

/// A number for each of the three sets that are counted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// In the segment.
    pub segment: u64,
    /// In the base.
    pub base: u64,
    /// In both.
    pub both: u64,
}

impl Counts {
    /// Each number with what `other` has more.
    pub fn plus(self, other: Self) -> Self {
        Self { segment: self.segment + other.segment, base: self.base + other.base, both: self.both + other.both }
    }

    /// Each number without what `part` has of it.
    pub fn minus(self, part: Self) -> Self {
        Self {
            segment: self.segment.saturating_sub(part.segment),
            base: self.base.saturating_sub(part.base),
            both: self.both.saturating_sub(part.both),
        }
    }
}

/// A segment and the base it is compared with.
pub struct Groups {
    /// The members of the segment.
    pub segment: People,
    /// The base; `None`: everybody.
    pub base: Option<People>,
    /// Who is in both; `None`: the whole segment.
    pub both: Option<People>,
    /// Live profiles.
    pub everybody: u64,
    /// Whether quantiles are those of the base; else they are everybody's.
    pub cut_by_base: bool,
}

impl Groups {
    /// The groups of the first question and, if there is one, of the second: each is evaluated once.
    pub fn of(questions: &[Question]) -> Result<Self, CdpError> {
        let Some(first) = questions.first() else { return Err(CdpError::internal("no question is asked")) };
        let mut plans = set::plans_of(questions)?;
        plans.slots.push(Encoding::Set);
        plans.sources.push(Source::Chunks { column_id: first.catalog.universe, keys: vec![(0, 0)], edges: Vec::new() });
        let program = |root: Node| Program { slots: plans.slots.clone(), root };
        let both = program(Node::And(plans.roots.clone()));
        let programs: Vec<Program> = plans.roots.iter().cloned().map(program).collect();
        let mut people: Vec<People> = programs.iter().map(|_| People::default()).collect();
        let (mut shared, mut everybody) = (People::default(), 0);
        let with_base = programs.len() > 1;
        Inputs::of(first, &plans.sources)?.listing(first, None)?.for_each_shard(
            first.ws,
            &plans.slots,
            |shard, slots| {
                let chunks = borrowed(slots);
                for (program, people) in programs.iter().zip(&mut people) {
                    people.add(shard, program::members(program, &chunks)?)?;
                }
                if with_base {
                    shared.add(shard, program::members(&both, &chunks)?)?;
                }
                for set in chunks.last().into_iter().flatten() {
                    everybody += Portable::open_shard(*set)?.cardinality();
                }
                Ok(())
            },
        )?;
        let mut people = people.into_iter();
        let segment = people.next().unwrap_or_default();
        let base = people.next();
        Ok(Self { segment, both: base.is_some().then_some(shared), base, everybody, cut_by_base: true })
    }

    /// How many profiles are in each.
    pub fn totals(&self) -> Counts {
        Counts {
            segment: self.segment.count,
            base: self.base.as_ref().map_or(self.everybody, People::count),
            both: self.both.as_ref().unwrap_or(&self.segment).count,
        }
    }

    /// Calls `f` with each set that has to be counted, its members in a shard, and the place of its number; everybody is counted by
    /// whoever reads a column.
    pub fn each(
        &self,
        shard: u32,
        mut f: impl FnMut(Bytes<'_>, fn(&mut Counts) -> &mut u64) -> Result<(), CdpError>,
    ) -> Result<(), CdpError> {
        if let Some(members) = self.segment.of(shard) {
            f(members, |counts| &mut counts.segment)?;
        }
        if let Some(members) = self.base.as_ref().and_then(|base| base.of(shard)) {
            f(members, |counts| &mut counts.base)?;
        }
        if let Some(members) = self.both.as_ref().and_then(|both| both.of(shard)) {
            f(members, |counts| &mut counts.both)?;
        }
        Ok(())
    }

    /// The numbers of a value when `each` has counted, and `all` profiles have it.
    pub fn completed(&self, mut counts: Counts, all: u64) -> Counts {
        if self.base.is_none() {
            counts.base = all;
        }
        if self.both.is_none() {
            counts.both = counts.segment;
        }
        counts
    }

    /// The segment parted: its members but one in five, compared with everybody but those; and those.
    pub fn held_out(&self, question: &Question) -> Result<(Self, People), CdpError> {
        let (mut kept, mut held, mut base) = (People::default(), People::default(), People::default());
        for (shard, members) in self.segment.shards() {
            let (rest, out) = holdout(shard, members)?;
            kept.add(shard, rest)?;
            held.add(shard, out)?;
        }
        each_shard(question, Encoding::Set, question.catalog.universe, |shard, slots| {
            base.add(shard, without(slots, held.of(shard))?)
        })?;
        let groups =
            Self { segment: kept, base: Some(base), both: None, everybody: self.everybody, cut_by_base: false };
        Ok((groups, held))
    }
}

/// The set in the first slot without `others`.
pub fn without(slots: &Slots, others: Option<Bytes<'_>>) -> Result<Option<Vec<u8>>, CdpError> {
    let rest = Program {
        slots: vec![Encoding::Set, Encoding::Set],
        root: Node::AndNot(Box::new(Node::Present(0)), Box::new(Node::Present(1))),
    };
    let first = slots.first().into_iter().flatten().map(|(_, chunk)| chunk.bytes()).collect();
    Ok(program::members(&rest, &[first, others.into_iter().collect()])?)
}

/// Calls `f` with the chunks of one column, shard by shard.
pub fn each_shard(
    question: &Question,
    encoding: Encoding,
    column_id: i32,
    f: impl FnMut(u32, &Slots) -> Result<(), CdpError>,
) -> Result<(), CdpError> {
    let wanted = Wanted { slot: 0, column_id, low: 0, high: i64::MAX };
    Listing::new(question.ws, &[wanted], None)?.for_each_shard(question.ws, &[encoding], f)
}
