//! How the members of a segment and of its base spread over the values of one attribute: each value, or each tenth of the numbers, with how
//! many of either have it. The chunks of the attribute are read once, whatever is counted in them.

use super::measure::{forward_of, printed, readable, value_sql};
use super::people::{Counts, Groups, each_shard};
use super::question::Question;
use super::texts;
use crate::error::CdpError;
use crate::pg::spi;
use crate::store::read::Chunk;
use crate::store::{MOST_EQUALITY_VALUES, SHARD_BITS};
use pg_cdp_core::bitmap::{Bytes, Portable};
use pg_cdp_core::cells::{CodesChunk, Encoding, NumberChunk};
use pg_cdp_core::expr::ast::{Expr, Type};
use pg_cdp_core::expr::sql;
use pg_cdp_core::insight;
use pg_cdp_core::plan::{AttributeColumn, HAS_SET};
use pg_cdp_core::program::{self, Node, Program};
use pgrx::spi::quote_literal;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

/// A value and who has it.
pub struct Value {
    /// Its key in the column, or its index.
    pub place: i64,
    /// Its text; of a tenth of the numbers, a range literal.
    pub text: String,
    /// How many have it.
    pub counts: Counts,
}

/// Where the values of an attribute are kept.
pub enum Kept {
    /// A column of one set a value, by key.
    Sets(i32),
    /// A column of numbers, or of codes as numbers; value i is the i-th range low..=high.
    Ranges(i32, Vec<(i64, i64)>),
    /// Nowhere: a query gave the set of each value, by shard.
    Made(Vec<BTreeMap<u32, Vec<u8>>>),
    /// Somewhere, but there are too many values to score by: each says next to nothing, and all together who is meant.
    Many,
}

/// An attribute with its values.
pub struct Spread {
    /// Its name.
    pub name: String,
    /// Where its values are kept.
    pub kept: Kept,
    /// The values that were to be kept, in the order of their places.
    pub values: Vec<Value>,
    /// How many have any value; of an attribute of several, a set of them, be it empty.
    pub known: Counts,
    /// Whether a profile may have several of the values.
    pub several: bool,
}

/// Counts by place.
type Tallies = BTreeMap<i64, (Counts, u64)>;

/// How the groups spread over an attribute; `keep` says which values are of interest. `base` is the question behind the base, if it is not
/// everybody.
pub fn spread(
    question: &Question,
    base: Option<&Question>,
    groups: &Groups,
    name: &str,
    attribute: &Expr,
    keep: &dyn Fn(&Counts) -> bool,
) -> Result<Spread, CdpError> {
    let numbers = matches!(attribute.ty, Type::Bigint | Type::Numeric | Type::Date | Type::Timestamptz);
    // Of an attribute of several values, who has a set of them: the values overlap.
    let mut sets: Option<(Counts, u64)> = None;
    let (mut kept, tallies, texts) = match readable(question, attribute) {
        Some((AttributeColumn::Codes { column_id, dictionary_id }, _)) => {
            let tallies = match forward_of(question, attribute) {
                Some(forward) => by_forward(question, groups, forward)?,
                None => by_sets(question, groups, column_id)?,
            };
            (Kept::Sets(column_id), tallies, Texts::Codes(dictionary_id))
        }
        Some((AttributeColumn::CodeNumbers { column_id, dictionary_id }, _)) => {
            (Kept::Ranges(column_id, Vec::new()), by_code(question, groups, column_id)?, Texts::Codes(dictionary_id))
        }
        Some((AttributeColumn::Numbers { column_id, scale }, ty)) => {
            let (ranges, cuts, tallies) = by_range(question, groups, column_id)?;
            let cuts: Vec<String> = cuts.iter().map(|v| value_sql(ty, scale, &format!("({v})::bigint"))).collect();
            (Kept::Ranges(column_id, ranges), tallies, Texts::Ready(range_texts(ty, &cuts)?))
        }
        None if numbers => {
            let cuts = cuts_by_query(question, base, groups, attribute)?;
            let place: Vec<String> = cuts.iter().map(|cut| format!("(q.value > {cut})::integer")).collect();
            let place = if place.is_empty() { "0".to_owned() } else { place.join(" + ") };
            let found = by_query(question, attribute, Whose::Values, &format!("({place})::pg_catalog.int8"), |row| {
                spi::must::<i64>(row, 1)
            })?;
            let texts = range_texts(attribute.ty, &cuts)?;
            let made: Vec<_> = (0..texts.len() as i64).map(|i| found.get(&i).cloned().unwrap_or_default()).collect();
            let tallies = by_made(groups, &made)?;
            (Kept::Made(made), tallies, Texts::Ready(texts))
        }
        Some((AttributeColumn::Elements { column_id, dictionary_id }, _)) => {
            let mut tallies = by_sets(question, groups, column_id)?;
            sets = Some(tallies.remove(&HAS_SET).unwrap_or_default());
            (Kept::Sets(column_id), tallies, Texts::Codes(dictionary_id))
        }
        None if attribute.ty == Type::TextSet => {
            let with_set =
                by_query(question, attribute, Whose::Values, "0::pg_catalog.int8", |row| spi::must::<i64>(row, 1))?;
            let with_set: Vec<_> = with_set.into_values().collect();
            sets = Some(by_made(groups, &with_set)?.remove(&0).unwrap_or_default());
            let found = by_query(question, attribute, Whose::Elements, "q.value", |row| spi::must::<String>(row, 1))?;
            let (texts, made): (Vec<_>, Vec<_>) = found.into_iter().unzip();
            let tallies = by_made(groups, &made)?;
            (Kept::Made(made), tallies, Texts::Ready(texts))
        }
        None => {
            let text = format!("({})::pg_catalog.text", printed(attribute.ty, "q.value"));
            let found = by_query(question, attribute, Whose::Values, &text, |row| spi::must::<String>(row, 1))?;
            let (texts, made): (Vec<_>, Vec<_>) = found.into_iter().unzip();
            let tallies = by_made(groups, &made)?;
            (Kept::Made(made), tallies, Texts::Ready(texts))
        }
    };
    let counted: Vec<(i64, Counts)> =
        tallies.into_iter().map(|(place, (counts, all))| (place, groups.completed(counts, all))).collect();
    let known = match sets {
        Some((counts, all)) => groups.completed(counts, all),
        None => counted.iter().fold(Counts::default(), |sum, (_, counts)| sum.plus(*counts)),
    };
    if !numbers && counted.iter().filter(|(_, counts)| counts.base > 0).count() > MOST_EQUALITY_VALUES as usize {
        kept = Kept::Many;
    }
    let chosen: Vec<(i64, Counts)> = counted.into_iter().filter(|(_, counts)| keep(counts)).collect();
    let texts = texts.of(question, &chosen)?;
    let values = chosen.into_iter().map(|(place, counts)| {
        let text = texts.get(&place).cloned().ok_or_else(|| CdpError::corrupted("column"))?;
        Ok(Value { place, text, counts })
    });
    let mut values = values.collect::<Result<Vec<_>, CdpError>>()?;
    if let Kept::Ranges(_, ranges) = &mut kept
        && !numbers
    {
        // Codes as numbers: each is a range of its own.
        for (index, value) in (0..).zip(&mut values) {
            ranges.push((value.place, value.place));
            value.place = index;
        }
    }
    Ok(Spread { name: name.to_owned(), kept, values, known, several: attribute.ty == Type::TextSet })
}

/// Where the texts of values come from.
enum Texts {
    Codes(i32),
    Ready(Vec<String>),
}

impl Texts {
    fn of(self, question: &Question, chosen: &[(i64, Counts)]) -> Result<Rc<HashMap<i64, String>>, CdpError> {
        match self {
            Self::Ready(texts) => Ok(Rc::new((0..).zip(texts).collect())),
            Self::Codes(_) if chosen.is_empty() => Ok(Rc::default()),
            Self::Codes(dictionary_id) => {
                let codes: Vec<i64> = chosen.iter().map(|(place, _)| *place).collect();
                texts::of_codes(question.ws, dictionary_id, &codes)
            }
        }
    }
}

/// The members in slot 0.
fn members() -> Program {
    Program { slots: vec![Encoding::Set], root: Node::Present(0) }
}

fn by_forward(question: &Question, groups: &Groups, column_id: i32) -> Result<Tallies, CdpError> {
    let mut tallies = Tallies::new();
    let program = members();
    each_shard(question, Encoding::Codes, column_id, |shard, slots| {
        let Some((_, chunk)) = slots.first().and_then(|slot| slot.first()) else { return Ok(()) };
        for (code, count) in CodesChunk::open(chunk.bytes())?.head().codes().iter().filter(|(_, count)| *count > 0) {
            tallies.entry((*code).into()).or_default().1 += u64::from(*count);
        }
        groups.each(shard, |people, number| {
            for (code, inside, _) in program::code_distribution(&program, &[vec![people]], Some(chunk.bytes()))?.1 {
                *number(&mut tallies.entry(code.into()).or_default().0) += inside;
            }
            Ok(())
        })
    })?;
    Ok(tallies)
}

fn by_sets(question: &Question, groups: &Groups, column_id: i32) -> Result<Tallies, CdpError> {
    let mut tallies = Tallies::new();
    each_shard(question, Encoding::Set, column_id, |shard, slots| {
        let keyed: Vec<(i64, Bytes<'_>)> =
            slots.first().into_iter().flatten().map(|(key, chunk)| (*key, chunk.bytes())).collect();
        count_sets(groups, shard, &keyed, &mut tallies)
    })?;
    Ok(tallies)
}

fn by_made(groups: &Groups, made: &[BTreeMap<u32, Vec<u8>>]) -> Result<Tallies, CdpError> {
    let mut shards: BTreeMap<u32, Vec<(i64, Bytes<'_>)>> = BTreeMap::new();
    for (place, sets) in (0..).zip(made) {
        for (shard, set) in sets {
            shards.entry(*shard).or_default().push((place, Bytes::from(set)));
        }
    }
    let mut tallies = Tallies::new();
    for (shard, keyed) in &shards {
        count_sets(groups, *shard, keyed, &mut tallies)?;
    }
    Ok(tallies)
}

/// Counts the groups in sets with their keys.
fn count_sets(groups: &Groups, shard: u32, keyed: &[(i64, Bytes<'_>)], tallies: &mut Tallies) -> Result<(), CdpError> {
    for (key, set) in keyed {
        tallies.entry(*key).or_default().1 += Portable::open_shard(*set)?.cardinality();
    }
    let sets: Vec<Bytes<'_>> = keyed.iter().map(|(_, set)| *set).collect();
    let program = members();
    groups.each(shard, |people, number| {
        let (_, inside) = program::distribution(&program, &[vec![people]], &sets)?;
        for ((key, _), inside) in keyed.iter().zip(inside) {
            *number(&mut tallies.entry(*key).or_default().0) += inside;
        }
        Ok(())
    })
}

/// A text of many values, its codes kept as numbers.
fn by_code(question: &Question, groups: &Groups, column_id: i32) -> Result<Tallies, CdpError> {
    let mut tallies = Tallies::new();
    let program = members();
    let present = Program { slots: vec![Encoding::Number], root: Node::Present(0) };
    each_shard(question, Encoding::Number, column_id, |shard, slots| {
        let Some((_, chunk)) = slots.first().and_then(|slot| slot.first()) else { return Ok(()) };
        let mut counts = HashMap::new();
        if groups.base.is_none() {
            program::number_distribution(&present, &[vec![chunk.bytes()]], Some(chunk.bytes()), &mut counts)?;
        }
        counts.drain().for_each(|(code, n)| tallies.entry(code).or_default().1 += n);
        groups.each(shard, |people, number| {
            program::number_distribution(&program, &[vec![people]], Some(chunk.bytes()), &mut counts)?;
            counts.drain().for_each(|(code, n)| *number(&mut tallies.entry(code).or_default().0) += n);
            Ok(())
        })
    })?;
    Ok(tallies)
}

/// The fractions that numbers are cut at.
fn tenths() -> Vec<f64> {
    (1..10u8).map(|i| f64::from(i) / 10.0).collect()
}

/// Ranges of numbers, the largest number of each but the last, and who has a number in each.
type Ranges = (Vec<(i64, i64)>, Vec<i64>, Tallies);

/// Tenths of the numbers.
fn by_range(question: &Question, groups: &Groups, column_id: i32) -> Result<Ranges, CdpError> {
    // Which are the tenths is known when all are read; the column stays in memory until then.
    let mut chunks: Vec<(u32, Chunk)> = Vec::new();
    each_shard(question, Encoding::Number, column_id, |shard, slots| {
        if let Some((_, chunk)) = slots.first().and_then(|slot| slot.first()) {
            // Nothing of it can be read when this is over.
            chunk.bytes().all()?;
            chunks.push((shard, chunk.clone()));
        }
        Ok(())
    })?;
    let base = if groups.cut_by_base { groups.base.as_ref() } else { None };
    let mut counted = Vec::with_capacity(chunks.len());
    for (shard, chunk) in &chunks {
        let people = match base {
            None => None,
            Some(base) => match base.of(*shard) {
                Some(people) => Some(people),
                None => continue,
            },
        };
        counted.push((NumberChunk::open(chunk.bytes())?, people));
    }
    let mut cuts = insight::cuts(&counted, &tenths())?;
    cuts.dedup();
    let mut ranges = Vec::with_capacity(cuts.len() + 1);
    let mut low = Some(i64::MIN);
    for cut in &cuts {
        if let Some(low) = low {
            ranges.push((low, *cut));
        }
        low = cut.checked_add(1);
    }
    ranges.extend(low.map(|low| (low, i64::MAX)));
    // Who has a number up to the end of a range is counted: with one bound that takes half of what two take.
    let (mut tallies, mut below) = (Tallies::new(), (Counts::default(), 0));
    for (place, (_, high)) in (0..).zip(&ranges) {
        let range = |slot| Node::Range { slot, low: i64::MIN, high: *high };
        let all = Program { slots: vec![Encoding::Number], root: range(0) };
        let inside =
            Program { slots: vec![Encoding::Set, Encoding::Number], root: Node::And(vec![Node::Present(0), range(1)]) };
        let (mut counts, mut total) = (Counts::default(), 0);
        for (shard, chunk) in &chunks {
            if groups.base.is_none() {
                total += program::count(&all, &[vec![chunk.bytes()]])?;
            }
            groups.each(*shard, |people, number| {
                *number(&mut counts) += program::count(&inside, &[vec![people], vec![chunk.bytes()]])?;
                Ok(())
            })?;
        }
        tallies.insert(place, (counts.minus(below.0), total - below.1));
        below = (counts, total);
    }
    Ok((ranges, cuts, tallies))
}

/// Range literals of what lies up to the first cut, between any two, and beyond the last; a cut belongs to what lies below it.
fn range_texts(ty: Type, cuts: &[String]) -> Result<Vec<String>, CdpError> {
    let (range, element) = match ty {
        Type::Date => ("daterange", "date"),
        Type::Timestamptz => ("tstzrange", "timestamptz"),
        _ => ("numrange", "numeric"),
    };
    let ends = || cuts.iter().map(|cut| format!("({cut})::pg_catalog.{element}"));
    let open = || std::iter::once("NULL".to_owned());
    let rows: Vec<String> = (0..)
        .zip(open().chain(ends()).zip(ends().chain(open())))
        .map(|(i, (low, high)): (usize, _)| format!("({i}, pg_catalog.{range}({low}, {high}, '(]')::pg_catalog.text)"))
        .collect();
    let sql = format!("SELECT x.text FROM (VALUES {}) AS x(i, text) ORDER BY x.i", rows.join(", "));
    spi::rows(&sql, &[], |row| spi::must(row, 1))
}

/// The tenths of an attribute without a column, as SQL constants.
fn cuts_by_query(
    question: &Question,
    base: Option<&Question>,
    groups: &Groups,
    attribute: &Expr,
) -> Result<Vec<String>, CdpError> {
    let among = base.filter(|_| groups.cut_by_base).map(|base| &base.expr);
    let values = sql::select_sql(&[("value", attribute)], among, &question.context());
    let sql = format!(
        "SELECT ({})::pg_catalog.text FROM (SELECT DISTINCT p.value FROM unnest((SELECT percentile_disc($1) WITHIN GROUP (ORDER BY q.value) FROM ({values}) q)) p(value) \
         WHERE p.value IS NOT NULL) x ORDER BY x.value",
        printed(attribute.ty, "x.value")
    );
    let ty = match attribute.ty {
        Type::Bigint => "int8",
        Type::Date => "date",
        Type::Timestamptz => "timestamptz",
        _ => "numeric",
    };
    let texts = spi::rows(&sql, &[tenths().into()], |row| spi::must::<String>(row, 1))?;
    Ok(texts.into_iter().map(|text| format!("{}::pg_catalog.{ty}", quote_literal(text))).collect())
}

/// What sets a query is to give: of values, or of the elements of values that are sets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    Values,
    Elements,
}

/// The sets of values, or of elements, by shard, by what `place` says of `q.value`.
fn by_query<K: Ord>(
    question: &Question,
    attribute: &Expr,
    whose: Whose,
    place: &str,
    mut key: impl FnMut(&pgrx::spi::SpiHeapTupleData) -> Result<K, CdpError>,
) -> Result<BTreeMap<K, BTreeMap<u32, Vec<u8>>>, CdpError> {
    let mut values = sql::select_sql(&[("value", attribute)], None, &question.context());
    if whose == Whose::Elements {
        values = format!(
            "SELECT s.profile_id, e.value FROM ({values}) s CROSS JOIN LATERAL pg_catalog.unnest(s.value) e(value)"
        );
    }
    let mask = (1i64 << SHARD_BITS) - 1;
    let sql = question.ws.sql(&format!(
        "SELECT {place}, (q.profile_id >> {SHARD_BITS})::integer, @ext@._cdp_offsets_agg((q.profile_id & {mask})::integer) \
         FROM ({values}) q WHERE q.value IS NOT NULL GROUP BY 1, 2"
    ));
    let mut sets: BTreeMap<K, BTreeMap<u32, Vec<u8>>> = BTreeMap::new();
    let rows = spi::rows(&sql, &[], |row| Ok((key(row)?, spi::must::<i32>(row, 2)?, spi::must::<Vec<u8>>(row, 3)?)))?;
    for (key, shard, set) in rows {
        let shard = u32::try_from(shard).map_err(|_| CdpError::corrupted("shard number"))?;
        sets.entry(key).or_default().insert(shard, set);
    }
    Ok(sets)
}
