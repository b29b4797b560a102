//! What the members of questions come to: how they spread over the values of an attribute, what a number sums up to, how sets
//! overlap. Read from bits; where an attribute has no readable column, or with an `as_of`, PostgreSQL answers from the tables.

use super::columns::WorkspaceColumns;
use super::question::Question;
use super::set::{self, Inputs, borrowed};
use super::texts::{self, Texts};
use crate::error::CdpError;
use crate::pg::spi;
use crate::store::column::moment_of_micros_sql;
use crate::store::read::Chunk;
use pg_cdp_core::bitmap::{Bytes, Portable};
use pg_cdp_core::cells::{Encoding, NumberChunk};
use pg_cdp_core::expr::ast::{Expr, Node as Ast, Type};
use pg_cdp_core::expr::sql;
use pg_cdp_core::plan::{AttributeColumn, Columns, Plan, Source};
use pg_cdp_core::program::{self, Node, Overlap, Program, Totals};
use pgrx::AnyNumeric;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

/// A value of an attribute, how many members have it, and how many profiles do.
pub type Share = (Option<String>, i64, i64);

/// How the members of a question spread over the values of an attribute; the row without a value counts those who have none.
pub fn distribution(question: &Question, attribute: &Expr) -> Result<Vec<Share>, CdpError> {
    let mut shares = match readable(question, attribute) {
        Some((AttributeColumn::Codes { column_id, dictionary_id }, _)) => match forward_of(question, attribute) {
            Some(column_id) => by_forward(question, column_id, dictionary_id)?,
            None => by_code(question, column_id, dictionary_id)?,
        },
        Some((AttributeColumn::CodeNumbers { column_id, dictionary_id }, _)) => {
            by_number(question, column_id, |values| texts::of_codes(question.ws, dictionary_id, values))?
        }
        Some((AttributeColumn::Numbers { column_id, scale }, ty)) => {
            by_number(question, column_id, |values| number_texts(ty, scale, values).map(Rc::new))?
        }
        Some((AttributeColumn::Elements { .. }, _)) | None => distribution_by_query(question, attribute)?,
    };
    shares.sort_by(|a, b| (b.1, b.2, &a.0).cmp(&(a.1, a.2, &b.0)));
    Ok(shares)
}

/// The column an attribute is read from, if it can be.
pub(super) fn readable(question: &Question, attribute: &Expr) -> Option<(AttributeColumn, Type)> {
    let Ast::Attribute(name) = &attribute.node else { return None };
    if question.moment.as_of.is_some() {
        return None;
    }
    Some((WorkspaceColumns::of(question).attribute(name)?, attribute.ty))
}

/// The program of a question with one slot more, and what its slots read.
struct Extended {
    program: Program,
    inputs: Inputs,
    slot: usize,
    /// The slot of the live profiles.
    universe: usize,
}

fn extended(question: &Question, encoding: Encoding, column_id: i32) -> Result<Extended, CdpError> {
    let mut plan = Plan::clone(&*set::plan_of(question)?);
    let mut add = |encoding, column_id, keys| {
        plan.program.slots.push(encoding);
        plan.sources.push(Source::Chunks { column_id, keys: vec![keys], edges: Vec::new() });
        plan.sources.len() - 1
    };
    let slot = add(encoding, column_id, (0, if encoding == Encoding::Set { i64::MAX } else { 0 }));
    let universe = add(Encoding::Set, question.catalog.universe, (0, 0));
    let inputs = Inputs::of(question, &plan.sources)?;
    Ok(Extended { program: plan.program, inputs, slot, universe })
}

fn signed(n: u64) -> Result<i64, CdpError> {
    i64::try_from(n).map_err(|_| CdpError::limit("the count does not fit into bigint"))
}

/// Members and profiles, and those without a value as the last share.
fn with_unknown(shares: Vec<(String, u64, u64)>, members: u64, profiles: u64) -> Result<Vec<Share>, CdpError> {
    let known: (u64, u64) = shares.iter().fold((0, 0), |sum, share| (sum.0 + share.1, sum.1 + share.2));
    let mut out = Vec::with_capacity(shares.len() + 1);
    for (value, n, total) in shares {
        out.push((Some(value), signed(n)?, signed(total)?));
    }
    let (n, total) = (members.saturating_sub(known.0), profiles.saturating_sub(known.1));
    if total > 0 {
        out.push((None, signed(n)?, signed(total)?));
    }
    Ok(out)
}

fn cardinality(set: Bytes<'_>) -> Result<u64, CdpError> {
    Ok(Portable::open_shard(set)?.cardinality())
}

/// The forward column of an attribute, when it is ready.
pub(super) fn forward_of(question: &Question, attribute: &Expr) -> Option<i32> {
    let Ast::Attribute(name) = &attribute.node else { return None };
    question.catalog.attributes.get(name)?.forward
}

/// An attribute with a forward column.
fn by_forward(question: &Question, column_id: i32, dictionary_id: i32) -> Result<Vec<Share>, CdpError> {
    let Extended { program, inputs, slot, universe } = extended(question, Encoding::Codes, column_id)?;
    // By code: these are small, and every shard has most of them.
    let mut by_code: Vec<(u64, u64)> = Vec::new();
    let (mut members, mut profiles) = (0, 0);
    inputs.listing(question, None)?.for_each_shard(question.ws, &program.slots, |_, slots| {
        let chunks = borrowed(slots);
        let codes = chunks.get(slot).and_then(|slot| slot.first()).copied();
        let (here, shares) = program::code_distribution(&program, &chunks, codes)?;
        members += here;
        for (code, inside, total) in shares {
            let code = usize::from(code);
            if by_code.len() <= code {
                by_code.resize(code + 1, (0, 0));
            }
            if let Some(count) = by_code.get_mut(code) {
                *count = (count.0 + inside, count.1 + total);
            }
        }
        for set in chunks.get(universe).into_iter().flatten() {
            profiles += cardinality(*set)?;
        }
        Ok(())
    })?;
    let counts: BTreeMap<i64, (u64, u64)> = (0..).zip(by_code).filter(|(_, (_, total))| *total > 0).collect();
    let texts = texts::of_codes(question.ws, dictionary_id, &counts.keys().copied().collect::<Vec<_>>())?;
    with_unknown(named(counts, &texts)?, members, profiles)
}

/// An attribute kept as one set a value.
fn by_code(question: &Question, column_id: i32, dictionary_id: i32) -> Result<Vec<Share>, CdpError> {
    let Extended { program, inputs, slot, universe } = extended(question, Encoding::Set, column_id)?;
    let mut counts: BTreeMap<i64, (u64, u64)> = BTreeMap::new();
    let (mut members, mut profiles) = (0, 0);
    inputs.listing(question, None)?.for_each_shard(question.ws, &program.slots, |_, slots| {
        let chunks = borrowed(slots);
        let (Some(column), Some(sets)) = (slots.get(slot), chunks.get(slot)) else {
            return Err(CdpError::internal("a program has no such slot"));
        };
        let (here, inside) = program::distribution(&program, &chunks, sets)?;
        members += here;
        for (((key, _), set), inside) in column.iter().zip(sets).zip(inside) {
            let count = counts.entry(*key).or_default();
            *count = (count.0 + inside, count.1 + cardinality(*set)?);
        }
        for set in chunks.get(universe).into_iter().flatten() {
            profiles += cardinality(*set)?;
        }
        Ok(())
    })?;
    let texts = texts::of_codes(question.ws, dictionary_id, &counts.keys().copied().collect::<Vec<_>>())?;
    with_unknown(named(counts, &texts)?, members, profiles)
}

/// An attribute kept as numbers; `texts` gives the text of each.
fn by_number(
    question: &Question,
    column_id: i32,
    texts: impl FnOnce(&[i64]) -> Result<Rc<Texts>, CdpError>,
) -> Result<Vec<Share>, CdpError> {
    let Extended { program, inputs, slot, universe } = extended(question, Encoding::Number, column_id)?;
    let all = Program { slots: program.slots.clone(), root: Node::Present(universe) };
    let (mut inside, mut total) = (HashMap::new(), HashMap::new());
    let (mut members, mut profiles) = (0, 0);
    inputs.listing(question, None)?.for_each_shard(question.ws, &program.slots, |_, slots| {
        let chunks = borrowed(slots);
        let number = chunks.get(slot).and_then(|slot| slot.first());
        members += program::number_distribution(&program, &chunks, number.copied(), &mut inside)?;
        profiles += program::number_distribution(&all, &chunks, number.copied(), &mut total)?;
        Ok(())
    })?;
    let counts: BTreeMap<i64, (u64, u64)> =
        total.into_iter().map(|(value, n)| (value, (inside.get(&value).copied().unwrap_or(0), n))).collect();
    let texts = texts(&counts.keys().copied().collect::<Vec<_>>())?;
    with_unknown(named(counts, &texts)?, members, profiles)
}

fn named(counts: BTreeMap<i64, (u64, u64)>, texts: &Texts) -> Result<Vec<(String, u64, u64)>, CdpError> {
    let named = counts.into_iter().filter(|(_, (_, total))| *total > 0).map(|(value, (n, total))| {
        let text = texts.get(&value).ok_or_else(|| CdpError::corrupted("column"))?;
        Ok((text.clone(), n, total))
    });
    named.collect()
}

/// SQL giving the value that a column of numbers keeps as the integer `v`.
pub(super) fn value_sql(ty: Type, scale: u32, v: &str) -> String {
    match ty {
        Type::Date => format!("('2000-01-01'::pg_catalog.date + ({v})::integer)"),
        Type::Timestamptz => moment_of_micros_sql(v),
        // A product is exact; a quotient would be rounded.
        _ => format!("trim_scale(({v})::pg_catalog.numeric * 1e-{scale})"),
    }
}

fn number_texts(ty: Type, scale: u32, values: &[i64]) -> Result<Texts, CdpError> {
    let sql = format!("SELECT x.v, ({})::pg_catalog.text FROM unnest($1) x(v)", value_sql(ty, scale, "x.v"));
    let rows = spi::rows(&sql, &[values.to_vec().into()], |row| {
        Ok((spi::must::<i64>(row, 1)?, spi::must::<String>(row, 2)?))
    })?;
    Ok(rows.into_iter().collect())
}

/// SQL giving the value of an attribute in the form that is printed.
pub(super) fn printed(ty: Type, value: &str) -> String {
    match ty {
        Type::Numeric => format!("trim_scale({value})"),
        _ => value.to_owned(),
    }
}

fn distribution_by_query(question: &Question, attribute: &Expr) -> Result<Vec<Share>, CdpError> {
    let all = sql::select_sql(&[("value", attribute)], None, &question.context());
    // Of a set each value is counted; whoever has none is among those without one.
    let (value, each) = match attribute.ty {
        Type::TextSet => ("u.value", "LEFT JOIN LATERAL unnest(a.value) u(value) ON true"),
        _ => ("a.value", ""),
    };
    let sql = format!(
        "SELECT ({})::pg_catalog.text, count(m.profile_id), count(*) FROM ({all}) a {each} LEFT JOIN ({}) m ON m.profile_id = a.profile_id GROUP BY 1",
        printed(attribute.ty, value),
        question.members_sql()
    );
    spi::rows(&sql, &[], |row| Ok((row.get::<String>(1)?, spi::must::<i64>(row, 2)?, spi::must::<i64>(row, 3)?)))
}

/// What the numbers of an attribute come to over members: members, those with a number, sum, average, smallest, largest.
pub type Statistics = (i64, i64, Option<AnyNumeric>, Option<AnyNumeric>, Option<AnyNumeric>, Option<AnyNumeric>);

/// SQL of the average of `known` numbers with the sum `sum`, the same whatever it is computed from.
fn average_sql(sum: &str, known: &str) -> String {
    format!("trim_scale(round({sum} / nullif({known}, 0), 6))")
}

fn read_statistics(row: &pgrx::spi::SpiHeapTupleData) -> Result<Statistics, CdpError> {
    Ok((spi::must(row, 1)?, spi::must(row, 2)?, row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?))
}

/// The statistics of a numeric attribute over the members of a question.
pub fn statistics(question: &Question, attribute: &Expr) -> Result<Statistics, CdpError> {
    let rows = match readable(question, attribute) {
        Some((AttributeColumn::Numbers { column_id, scale }, ty)) => {
            let totals = number_totals(question, column_id)?;
            let numeric = |v: Option<i128>| v.map(|v| v.to_string());
            let range = totals.range.map(|(low, high)| (i128::from(low), i128::from(high)));
            let known = totals.known > 0;
            let sql = format!(
                "SELECT $1, $2, x.sum, {}, {}, {} FROM (SELECT {} AS sum) x",
                average_sql("x.sum", "$2"),
                value_sql(ty, scale, "$4"),
                value_sql(ty, scale, "$5"),
                value_sql(ty, scale, "$3"),
            );
            spi::rows_cached(
                &sql.replace("($3)", "($3::pg_catalog.text)")
                    .replace("($4)", "($4::pg_catalog.text)")
                    .replace("($5)", "($5::pg_catalog.text)"),
                &[
                    signed(totals.members)?.into(),
                    signed(totals.known)?.into(),
                    numeric(known.then_some(totals.sum)).into(),
                    numeric(range.map(|r| r.0)).into(),
                    numeric(range.map(|r| r.1)).into(),
                ],
                read_statistics,
            )?
        }
        _ => {
            let values = values_query(question, attribute);
            spi::rows(
                &format!(
                    "SELECT x.n, x.known, trim_scale(x.sum), {}, trim_scale(x.low), trim_scale(x.high) FROM (SELECT count(*) AS n, count(q.value) AS known, \
                     sum(q.value)::pg_catalog.numeric AS sum, min(q.value)::pg_catalog.numeric AS low, max(q.value)::pg_catalog.numeric AS high FROM ({values}) q) x",
                    average_sql("x.sum", "x.known")
                ),
                &[],
                read_statistics,
            )?
        }
    };
    rows.into_iter().next().ok_or_else(|| CdpError::internal("an aggregate gave no row"))
}

/// A query of the members of a question (profile_id) with their values of an attribute (value).
fn values_query(question: &Question, attribute: &Expr) -> String {
    sql::select_sql(&[("value", attribute)], Some(&question.expr), &question.context())
}

fn number_totals(question: &Question, column_id: i32) -> Result<Totals, CdpError> {
    let Extended { program, inputs, slot, .. } = extended(question, Encoding::Number, column_id)?;
    let mut totals = Totals::default();
    inputs.listing(question, None)?.for_each_shard(question.ws, &program.slots, |_, slots| {
        let chunks = borrowed(slots);
        let number = chunks.get(slot).and_then(|slot| slot.first()).copied();
        totals = totals.and(program::totals(&program, &chunks, number)?);
        Ok(())
    })?;
    Ok(totals)
}

/// Members of a question with a number, and their numbers, shard by shard: one column in memory.
struct Numbers {
    shards: Vec<(u32, Vec<u8>, Chunk)>,
}

impl Numbers {
    fn read(question: &Question, column_id: i32) -> Result<Self, CdpError> {
        let Extended { program, inputs, slot, .. } = extended(question, Encoding::Number, column_id)?;
        let mut shards = Vec::new();
        inputs.listing(question, None)?.for_each_shard(question.ws, &program.slots, |shard, slots| {
            if let Some((_, number)) = slots.get(slot).and_then(|slot| slot.first()) {
                let members = program::members(&program, &borrowed(slots))?;
                if let Some(members) = members {
                    // Nothing of it can be read when this is over.
                    number.bytes().all()?;
                    shards.push((shard, members, number.clone()));
                }
            }
            Ok(())
        })?;
        Ok(Self { shards })
    }

    fn program(low: i64, high: i64) -> Program {
        let range = Node::Range { slot: 1, low, high };
        Program { slots: vec![Encoding::Set, Encoding::Number], root: Node::And(vec![Node::Present(0), range]) }
    }

    /// How many have a number in low..=high.
    fn count(&self, low: i64, high: i64) -> Result<u64, CdpError> {
        let program = Self::program(low, high);
        let mut total = 0;
        for (_, members, number) in &self.shards {
            total += program::count(&program, &[vec![Bytes::from(members)], vec![number.bytes()]])?;
        }
        Ok(total)
    }

    /// The smallest and the largest number of all that there are, members or not; `None` without any.
    fn bounds(&self) -> Result<Option<(i64, i64)>, CdpError> {
        let mut bounds: Option<(i64, i64)> = None;
        for (_, _, number) in &self.shards {
            let chunk = NumberChunk::open(number.bytes())?;
            let (low, high) = bounds.unwrap_or((chunk.v_base(), chunk.v_max()));
            bounds = Some((low.min(chunk.v_base()), high.max(chunk.v_max())));
        }
        Ok(bounds)
    }

    /// The number with `rank` smaller or equal ones at least, itself included: found by halving, counting each time.
    fn ranked(&self, rank: u64) -> Result<Option<i64>, CdpError> {
        let Some((mut low, mut high)) = self.bounds()? else { return Ok(None) };
        while low < high {
            let middle = low.midpoint(high);
            // midpoint() rounds towards zero: below zero that may be the upper end.
            let middle = if middle == high { middle - 1 } else { middle };
            if self.count(i64::MIN, middle)? >= rank { high = middle } else { low = middle + 1 }
        }
        Ok(Some(low))
    }
}

/// The column of a number attribute, for functions of numbers alone.
fn numbers_of(question: &Question, attribute: &Expr) -> Option<(i32, u32)> {
    match readable(question, attribute)? {
        (AttributeColumn::Numbers { column_id, scale }, _) => Some((column_id, scale)),
        _ => None,
    }
}

fn values(scale: u32, numbers: &[Option<i64>]) -> Result<Vec<Option<AnyNumeric>>, CdpError> {
    let sql = format!(
        "SELECT {} FROM unnest($1) WITH ORDINALITY x(v, i) ORDER BY x.i",
        value_sql(Type::Numeric, scale, "x.v")
    );
    spi::rows(&sql, &[numbers.to_vec().into()], |row| Ok(row.get::<AnyNumeric>(1)?))
}

/// For each fraction the smallest number that at least that share of the members with a number does not exceed (`percentile_disc`).
pub fn quantiles(
    question: &Question,
    attribute: &Expr,
    fractions: &[f64],
) -> Result<Vec<Option<AnyNumeric>>, CdpError> {
    let Some((column_id, scale)) = numbers_of(question, attribute) else {
        let sql = format!(
            "SELECT trim_scale(p.value::pg_catalog.numeric) FROM unnest((SELECT percentile_disc($1) WITHIN GROUP (ORDER BY q.value) FROM ({}) q)) WITH ORDINALITY p(value, i) ORDER BY p.i",
            values_query(question, attribute)
        );
        let mut found = spi::rows(&sql, &[fractions.to_vec().into()], |row| Ok(row.get::<AnyNumeric>(1)?))?;
        found.resize_with(fractions.len(), || None);
        return Ok(found);
    };
    let numbers = Numbers::read(question, column_id)?;
    let known = numbers.count(i64::MIN, i64::MAX)?;
    let mut found = Vec::with_capacity(fractions.len());
    for fraction in fractions {
        // As percentile_disc() does: the row of number ceil(fraction × rows), the first at least.
        let rank = ((fraction * known as f64).ceil() as u64).max(1);
        found.push(if known == 0 { None } else { numbers.ranked(rank)? });
    }
    values(scale, &found)
}

/// The `k` members with the largest numbers, largest first, ties by profile.
pub fn top(question: &Question, attribute: &Expr, k: i64) -> Result<Vec<(i64, AnyNumeric)>, CdpError> {
    let Some((column_id, scale)) = numbers_of(question, attribute) else {
        let sql = format!(
            "SELECT q.profile_id, trim_scale(q.value::pg_catalog.numeric) FROM ({}) q WHERE q.value IS NOT NULL ORDER BY q.value DESC, q.profile_id LIMIT $1",
            values_query(question, attribute)
        );
        return spi::rows(&sql, &[k.into()], |row| Ok((spi::must(row, 1)?, spi::must(row, 2)?)));
    };
    let numbers = Numbers::read(question, column_id)?;
    let known = numbers.count(i64::MIN, i64::MAX)?;
    let wanted = known.min(u64::try_from(k).unwrap_or(0));
    if wanted == 0 {
        return Ok(Vec::new());
    }
    let Some(least) = numbers.ranked(known - wanted + 1)? else { return Ok(Vec::new()) };
    // Everybody above the least number that is in, then as many with it as there is room for.
    let mut found: Vec<(i64, i64)> = Vec::new();
    let mut ties: Vec<(i64, i64)> = Vec::new();
    for (shard, members, number) in &numbers.shards {
        let program = Numbers::program(least, i64::MAX);
        let inside = program::evaluate(&program, &[vec![Bytes::from(members)], vec![number.bytes()]])?;
        let first = i64::from(*shard) << crate::store::SHARD_BITS;
        for (offset, v) in NumberChunk::open(number.bytes())?.values_of(&inside)? {
            let row = (v, first + i64::from(offset));
            if v > least { found.push(row) } else { ties.push(row) }
        }
    }
    ties.truncate((wanted as usize).saturating_sub(found.len()));
    found.extend(ties);
    found.sort_unstable_by(|a, b| (b.0, a.1).cmp(&(a.0, b.1)));
    let texts = values(scale, &found.iter().map(|(v, _)| Some(*v)).collect::<Vec<_>>())?;
    let rows = found.into_iter().zip(texts).filter_map(|((_, profile), value)| Some((profile, value?)));
    Ok(rows.collect())
}

/// How many members several questions share, and how many profiles there are.
pub fn overlap(questions: &[Question]) -> Result<(Overlap, u64), CdpError> {
    let Some(first) = questions.first() else { return Ok((Overlap::default(), 0)) };
    let mut plans = set::plans_of(questions)?;
    plans.slots.push(Encoding::Set);
    let universe = Source::Chunks { column_id: first.catalog.universe, keys: vec![(0, 0)], edges: Vec::new() };
    plans.sources.push(universe);
    let inputs = Inputs::of(first, &plans.sources)?;
    let (mut counts, mut profiles) = (Overlap::default(), 0);
    inputs.listing(first, None)?.for_each_shard(first.ws, &plans.slots, |_, slots| {
        let chunks = borrowed(slots);
        counts = std::mem::take(&mut counts).and(program::overlap(&plans.slots, &plans.roots, &chunks)?);
        for set in chunks.last().into_iter().flatten() {
            profiles += cardinality(*set)?;
        }
        Ok(())
    })?;
    Ok((counts, profiles))
}
