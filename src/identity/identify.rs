//! `cdp_identify`: one sight of some identifiers together, in the transaction of the caller.
//!
//! It does what a row of a source does, without temporary tables. Nothing new costs a look. What no rule is against is entered where it belongs at once;
//! everything else is entered first and then judged with all that hangs together with it.

use super::arrive;
use super::blocked::Blocked;
use super::enter;
use super::follow::{self, Change, Created, Redirected, SeenAgain};
use super::govern::{self, Cause};
use super::graph;
use super::hold::{self, Held};
use super::origin;
use super::rules::Rules;
use super::sight::{self, Home, Seen, Sight, Wanted};
use super::stitch::{self, Batch};
use super::value::{self, MOST_BYTES};
use super::{hub, operate};
use crate::error::{CdpError, given};
use crate::guc;
use crate::pg::append::Column;
use crate::pg::json::JsonText;
use crate::pg::spi::{self, Together};
use crate::pg::{sequence, transaction};
use crate::workspace::{self, Workspace};
use pg_cdp_core::graph::{NodeState, Profile, Retired, Rows, stitch as stitch_rows};
use pgrx::datum::{DatumWithOid, TimestampWithTimeZone};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use serde_json::{Map, Value};
use std::collections::{BTreeSet, HashMap};

#[pg_extern(
    sql = "CREATE FUNCTION cdp_identify(identifiers jsonb, source text DEFAULT 'api', at timestamptz DEFAULT NULL) RETURNS bigint VOLATILE PARALLEL UNSAFE LANGUAGE c AS '@MODULE_PATHNAME@', '@FUNCTION_NAME@';"
)]
fn cdp_identify(
    identifiers: Option<JsonText>,
    source: Option<&str>,
    at: Option<TimestampWithTimeZone>,
) -> Result<i64, ErrorReport> {
    let Value::Object(identifiers) = given(identifiers, "identifiers")?.parse()? else {
        return Err(CdpError::invalid_parameter("identifiers are a JSON object of types and values")
            .with_hint(r#"Write them as in '{"email": "ann@example.com", "cookie": ["c1", "c2"]}'."#)
            .into());
    };
    let source = given(source, "source")?;
    // What a transaction sees that changes nothing may have come before whatever others do at the same time: it waits for nobody. What it has seen while it held
    // the lock is as it was.
    let (mut seen, mut looked) = (None, false);
    let glance = |ws: &Workspace| {
        let Some(rules) = Rules::known(ws)? else { return Ok(None) };
        let Ok(wanted) = wanted(ws, &rules, &identifiers) else { return Ok(None) };
        let locked = ws.locked()?;
        let Some(sight) = Sight::look(ws, &wanted, source)? else { return Ok(None) };
        let profile = sight.nothing_new(ws, &rules, at.map(i64::from))?;
        looked = true;
        if locked {
            seen = Some((ws.clone(), rules, wanted, sight));
        }
        Ok(profile)
    };
    let profile = workspace::glance(glance)?;
    if let Some(profile) = profile {
        return Ok(profile);
    }
    if let Some((ws, rules, wanted, sight)) = seen {
        return Ok(workspace::go_on(&ws, |ws| see(ws, &rules, &wanted, sight, source, at))?);
    }
    Ok(workspace::enter_small(|ws| {
        let look = || -> Result<_, CdpError> {
            let rules = Rules::load(ws)?;
            let wanted = wanted(ws, &rules, &identifiers)?;
            let sight = Sight::read(ws, &wanted, source)?;
            let profile = sight.nothing_new(ws, &rules, at.map(i64::from))?;
            Ok((rules, wanted, sight, profile))
        };
        if !looked && let (.., Some(profile)) = look()? {
            return Ok(profile);
        }
        ws.lock()?;
        match look()? {
            (.., Some(profile)) => Ok(profile),
            (rules, wanted, sight, None) => see(ws, &rules, &wanted, sight, source, at),
        }
    })?)
}

/// The identifiers that an object names, in the form they are kept in, each once.
fn wanted(ws: &Workspace, rules: &Rules, identifiers: &Map<String, Value>) -> Result<Vec<Wanted>, CdpError> {
    let mut wanted = Vec::new();
    for (name, values) in identifiers {
        let ty = rules.named(name)?;
        let values = match values {
            Value::Array(values) => values.as_slice(),
            one => std::slice::from_ref(one),
        };
        for value in values {
            let text = match value {
                Value::Null => continue,
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                other => {
                    return Err(CdpError::invalid_parameter(format!(
                        "{other} is no value of identifier type \"{name}\""
                    ))
                    .with_hint("Give a text or a number, or an array of them."));
                }
            };
            let Some(forms) = value::forms(ws, ty, &text)? else {
                return Err(CdpError::invalid_parameter(format!("\"{text}\" is not a valid {name}"))
                    .with_hint("Leave out identifiers that are not known."));
            };
            if forms.kept.len() > MOST_BYTES {
                return Err(CdpError::invalid_parameter(format!(
                    "a value of identifier type \"{name}\" is longer than {MOST_BYTES} bytes"
                )));
            }
            wanted.push(Wanted::of(ty.type_id, forms));
        }
    }
    Ok(Wanted::each_once(wanted))
}

/// Takes a sight of identifiers; gives the profile of the most telling one that links. Needs the workspace lock.
pub fn see(
    ws: &Workspace,
    rules: &Rules,
    wanted: &[Wanted],
    sight: Sight,
    source: &str,
    at: Option<TimestampWithTimeZone>,
) -> Result<i64, CdpError> {
    if sight.known.contains(&None) {
        let blocked = Blocked::load(ws)?;
        let suspects = wanted.iter().zip(&sight.known).filter(|(_, known)| known.is_none());
        for (w, _) in suspects.filter(|(w, _)| blocked.suspects(&w.plain)) {
            let value = w.plain.to_lowercase();
            if let Some(reason) = blocked.reason(w.type_id, &value) {
                let name = &rules.get(w.type_id)?.name;
                return Err(CdpError::not_allowed(format!("{name} \"{value}\" is blocked: {reason}"))
                    .with_hint("Leave out values that name nobody."));
            }
        }
    }
    let mut any_strong = false;
    for w in wanted {
        any_strong |= rules.get(w.type_id)?.strong;
    }
    if !any_strong {
        return Err(CdpError::invalid_parameter("no strong identifier is given")
            .with_hint("Weak identifiers, such as ip, belong to nobody: give at least one that is strong."));
    }
    let (source_id, trust) = match sight.source {
        Some(source) => source,
        None => origin::make(ws, source)?,
    };
    let event = Event { ws, rules, wanted, sight: &sight, source_id, trust, at };
    match event.way()? {
        Way::Plain { survivor, retired, held } => event.enter(survivor, retired, held),
        Way::Judged => event.judge(),
    }
}

/// An event that says something new.
struct Event<'a> {
    ws: &'a Workspace,
    rules: &'a Rules,
    wanted: &'a [Wanted],
    sight: &'a Sight,
    source_id: i32,
    trust: i32,
    at: Option<TimestampWithTimeZone>,
}

/// How an event is taken.
enum Way {
    /// No rule is against it: its identifiers belong to this profile, or to a new one, which takes over these, each for an edge, with what they held.
    Plain { survivor: Option<i64>, retired: Vec<Retired>, held: Vec<Held> },
    /// A rule may be.
    Judged,
}

impl Event<'_> {
    fn strong(&self, type_id: i32) -> bool {
        self.rules.get(type_id).is_ok_and(|ty| ty.strong)
    }

    /// The identifiers that are known and link.
    fn linking(&self) -> Vec<&Seen> {
        self.sight.entered().filter(|s| s.quarantine.is_none() && self.strong(s.type_id)).collect()
    }

    /// The identifiers that nobody has seen before.
    fn fresh(&self) -> impl Iterator<Item = &Wanted> {
        self.wanted.iter().zip(&self.sight.known).filter(|(_, known)| known.is_none()).map(|(w, _)| w)
    }

    /// Finds out whether a rule may be against the event, without writing anything.
    fn way(&self) -> Result<Way, CdpError> {
        let linking = self.linking();
        let homes: Vec<Home> = linking.iter().filter_map(|s| s.home).collect();
        if self.ws.arrival || homes.len() < linking.len() || homes.iter().any(|home| home.contested) {
            return Ok(Way::Judged);
        }
        if self.crowds(&linking)? || self.makes_hubs(&linking)? || self.decided(&linking)? {
            return Ok(Way::Judged);
        }
        let mut profiles: Vec<i64> = homes.iter().map(|home| home.profile_id).collect();
        profiles.sort_unstable();
        profiles.dedup();
        let (survivor, retired) = match *profiles {
            [] => (None, Vec::new()),
            [one] => (Some(one), Vec::new()),
            _ => {
                let mut rows = Rows::default();
                rows.push(&linking.iter().map(|s| s.node_id).collect::<Vec<i64>>());
                let states: Vec<NodeState> = linking
                    .iter()
                    .map(|s| NodeState { node: s.node_id, profile: s.home.map(|home| home.profile_id) })
                    .collect();
                let ages: Vec<Profile> = homes
                    .iter()
                    .map(|home| Profile { profile_id: home.profile_id, created_at_micros: home.created_at })
                    .collect();
                let components = stitch_rows(&rows, &states, &ages).map_err(|e| CdpError::internal(e.to_string()))?;
                let Some(component) = components.into_iter().next() else { return Ok(Way::Judged) };
                (component.survivor, component.retired)
            }
        };
        let gone: Vec<i64> = retired.iter().map(|gone| gone.profile_id).collect();
        let limited = self.rules.types.iter().filter(|ty| ty.strong && ty.limit.is_some());
        let limited: Vec<i32> = limited.map(|ty| ty.type_id).collect();
        let held = if gone.is_empty() { Vec::new() } else { hold::of(self.ws, &gone, &limited)? };
        if self.breaks_limits(survivor, &held, &limited)? {
            return Ok(Way::Judged);
        }
        Ok(Way::Plain { survivor, retired, held })
    }

    /// Whether a type with a limit within a window is crowded already: an earlier sight can bring its values together.
    fn crowds(&self, linking: &[&Seen]) -> Result<bool, CdpError> {
        Ok(!crowded(self.ws, self.rules, linking)?.is_empty())
    }

    /// Whether an operator decided about any of the identifiers or their profiles.
    fn decided(&self, linking: &[&Seen]) -> Result<bool, CdpError> {
        if !self.sight.overridden {
            return Ok(false);
        }
        let seen: Vec<&Seen> = self.sight.entered().collect();
        Ok(!decided(self.ws, &seen, linking)?.is_empty())
    }

    /// Whether an identifier that links gets so many edges that it may be a hub.
    fn makes_hubs(&self, linking: &[&Seen]) -> Result<bool, CdpError> {
        let Some(least) = self.rules.least_cap().map(i64::from) else { return Ok(false) };
        let others = self.wanted.len() as i64 - 1;
        let fresh_strong = self.fresh().filter(|w| self.strong(w.type_id)).count();
        if fresh_strong > 0 && others > least {
            return Ok(true);
        }
        let mut grown = Vec::new();
        for s in linking {
            let known = |other: &&Seen| self.sight.edges.contains_key(&ends(s.node_id, other.node_id));
            let old = self.sight.entered().filter(|other| other.node_id != s.node_id).filter(known).count() as i64;
            let new_strong = fresh_strong > 0
                || self
                    .sight
                    .entered()
                    .any(|other| other.node_id != s.node_id && self.strong(other.type_id) && !known(&other));
            if new_strong {
                grown.push((s.node_id, least - (others - old)));
            }
        }
        Ok(!hold::many(self.ws, &grown)?.is_empty())
    }

    /// Whether the survivor would hold more values of a type than it may, with what the profiles that it takes over have `held` and what is new. `limited` are the types of which it may hold
    /// so many.
    fn breaks_limits(&self, survivor: Option<i64>, held: &[Held], limited: &[i32]) -> Result<bool, CdpError> {
        let fresh = self.fresh().filter(|w| limited.contains(&w.type_id)).map(|w| (w.type_id, w.kept.as_str()));
        let come = held.iter().filter_map(|held| Some((held.type_id, held.value.as_deref()?)));
        let come: Vec<(i32, &str)> = come.chain(fresh).collect();
        // What it holds itself breaks no limit, nor does a single value by itself.
        if come.len() < 2 && (come.is_empty() || survivor.is_none()) {
            return Ok(false);
        }
        let own = match survivor {
            Some(survivor) => hold::of(self.ws, &[survivor], limited)?,
            None => Vec::new(),
        };
        let own = own.iter().filter_map(|held| Some((held.type_id, held.value.as_deref()?)));
        let mut counts: HashMap<(i32, &str), u32> = HashMap::new();
        for (type_id, value) in own.chain(come) {
            let ty = self.rules.get(type_id)?;
            let count = counts.entry((type_id, ty.scope(value))).or_default();
            *count += 1;
            if ty.limit.is_some_and(|limit| *count > limit) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn cause(&self) -> Cause {
        Cause { source_id: self.source_id, operation_id: None }
    }

    /// Enters what no rule is against.
    fn enter(&self, survivor: Option<i64>, retired: Vec<Retired>, held: Vec<Held>) -> Result<i64, CdpError> {
        let mut change = Change::default();
        let needed = survivor.is_none() && self.fresh().any(|w| self.strong(w.type_id));
        let made = follow::numbers(self.ws, usize::from(needed))?.first().copied();
        let home = survivor.or(made);
        let mut together = Together::default();
        // Identifiers that go to another profile are written once.
        let later = (!retired.is_empty()).then_some(&mut change.seen);
        let seen = self.nodes(home, &mut together, later)?;
        self.edges(&seen, together)?;
        let priority = |s: &Seen| self.rules.get(s.type_id).map_or(i32::MAX, |ty| ty.priority);
        if let Some(profile_id) = made {
            // On the most telling one: a shared device would take the number along when it moves on.
            let strong = seen.iter().filter(|s| self.strong(s.type_id) && s.quarantine.is_none());
            let founding = strong.min_by_key(|s| (priority(s), s.node_id)).map(|s| s.node_id);
            let founding = founding.ok_or_else(|| CdpError::internal("nobody founds a profile"))?;
            change.created.push(Created { profile_id, founding, from: None });
        }
        if let Some(survivor) = survivor
            && !retired.is_empty()
        {
            for gone in &retired {
                change.redirected.push(Redirected::taken_over(gone.profile_id, survivor, Some(gone.cause)));
            }
            let into = retired.iter().map(|gone| (gone.profile_id, survivor)).collect();
            follow::take_over(self.ws, &into, Some(held), &mut change)?;
        }
        if follow::apply(self.ws, self.cause(), &change, false)? {
            operate::derive(self.ws)?;
        }
        match (self.first(&seen)?, home) {
            (s, Some(home)) if s.quarantine.is_none() => Ok(home),
            (s, _) => self::home(self.ws, s.node_id),
        }
    }

    /// Enters everything and judges what hangs together with it.
    fn judge(&self) -> Result<i64, CdpError> {
        let (ws, rules, cause) = (self.ws, self.rules, self.cause());
        let mut together = Together::default();
        let seen = self.nodes(None, &mut together, None)?;
        let first = self.first(&seen)?.node_id;
        let fresh = self.edges(&seen, together)?;
        let linking: Vec<&Seen> = seen.iter().filter(|s| s.quarantine.is_none() && self.strong(s.type_id)).collect();
        let all: Vec<&Seen> = seen.iter().collect();
        let decided = |linking| if self.sight.overridden { decided(ws, &all, linking) } else { Ok(Vec::new()) };
        if ws.arrival {
            let row: Vec<i64> = linking.iter().map(|s| s.node_id).collect();
            let derived = arrive::arrive(ws, rules, &[row], &fresh, cause, false)?;
            if govern::judge(ws, &decided(&linking)?, cause, derived)?.derived || derived {
                operate::derive(ws)?;
            }
            return home(ws, first);
        }
        let mut around = Vec::new();
        if let (false, Some(least)) = (fresh.is_empty(), rules.least_cap()) {
            let grown: Vec<(i64, i64)> = seen
                .iter()
                .filter(|s| s.quarantine.is_none() && fresh.iter().any(|(a, b)| *a == s.node_id || *b == s.node_id))
                .map(|s| (s.node_id, i64::from(least)))
                .collect();
            let turned = hub::judge(ws, rules, &hold::many(ws, &grown)?)?;
            around = hub::neighbours(ws, &turned)?;
        }
        around.extend(decided(&linking)?);
        around.extend(crowded(ws, rules, &linking)?);
        let mut batch = Batch::default();
        let row: Vec<i64> = linking.iter().map(|s| s.node_id).filter(|node| !around.contains(node)).collect();
        batch.rows.push(&row);
        for s in linking.iter().filter(|s| row.contains(&s.node_id)) {
            batch.nodes.push((s.node_id, s.type_id));
            if let Some(Home { profile_id, created_at, contested }) = s.home {
                batch.know(s.node_id, profile_id, created_at, contested);
            }
        }
        batch.nodes.sort_unstable();
        // What has to be judged is judged with all that the row shows.
        if !around.is_empty() {
            around.extend(linking.iter().map(|s| s.node_id));
            batch = Batch::default();
        }
        if stitch::join(ws, rules, batch, around, cause, false)?.derived {
            operate::derive(ws)?;
        }
        home(ws, first)
    }

    /// The most telling identifier, as a row keeps its facts.
    fn first<'s>(&self, seen: &'s [Seen]) -> Result<&'s Seen, CdpError> {
        let strong = seen.iter().filter(|s| self.strong(s.type_id));
        let priority = |s: &Seen| self.rules.get(s.type_id).map_or(i32::MAX, |ty| ty.priority);
        strong
            .min_by_key(|s| (s.quarantine.is_some(), priority(s), s.node_id))
            .ok_or_else(|| CdpError::internal("an event has lost its identifiers"))
    }

    /// Enters identifiers that are new, those that are strong as the profile's, and when the others were seen, if there are new ones: else that is left to
    /// `together`, or to whoever wants it `later`.
    fn nodes(
        &self,
        home: Option<i64>,
        together: &mut Together<'_>,
        later: Option<&mut Vec<SeenAgain>>,
    ) -> Result<Vec<Seen>, CdpError> {
        let mut seen: Vec<Seen> = self.sight.entered().cloned().collect();
        if let Some(at) = self.at {
            let outside = |times: (i64, i64)| i64::from(at) < times.0 || times.1 < i64::from(at);
            let moved: Vec<&Seen> = seen.iter().filter(|s| outside(s.times)).collect();
            match later {
                Some(later) => {
                    let again = |s: &&Seen| SeenAgain { node_id: s.node_id, at: at.into(), place: s.at() };
                    later.extend(moved.iter().map(again));
                }
                None => sight::saw(self.ws, &moved, at, together)?,
            }
        }
        let (mut types, mut values, mut homes) = (Vec::new(), Vec::new(), Vec::new());
        for w in self.fresh() {
            types.push(w.type_id);
            values.push(w.kept.clone());
            homes.push(home.filter(|_| self.strong(w.type_id)));
        }
        if let Some(numbers) = self.add_nodes(&types, &values, &homes)? {
            for (node_id, type_id) in numbers.into_iter().zip(types) {
                seen.push(Seen { node_id, type_id, home: None, quarantine: None, times: (0, 0), place: None });
            }
        } else if !values.is_empty() {
            let mut together = std::mem::take(together);
            let from = spi::rows_item(3, &["int4", "text", "int8"], values.len());
            let mut args: Vec<DatumWithOid> = vec![self.source_id.into(), self.at.into()];
            if values.len() <= spi::FEW_ROWS {
                for ((type_id, value), home) in types.into_iter().zip(values).zip(homes) {
                    args.extend::<[DatumWithOid; 3]>([type_id.into(), value.into(), home.into()]);
                }
            } else {
                args.extend::<[DatumWithOid; 3]>([types.into(), values.into(), homes.into()]);
            }
            together.add(
                &self.ws.sql(&format!(
                    "INSERT INTO @ws@.node (type_id, value, profile_id, source_id, first_seen, last_seen) \
                     SELECT x.c1, x.c2, x.c3, $1, coalesce($2, now()), coalesce($2, now()) FROM {from} RETURNING node_id, type_id"
                )),
                args,
            );
            seen.extend(together.run(|row| {
                let (node_id, type_id) = (spi::must(row, 1)?, spi::must(row, 2)?);
                Ok(Seen { node_id, type_id, home: None, quarantine: None, times: (0, 0), place: None })
            })?);
        }
        Ok(seen)
    }

    /// Enters identifiers without a query; gives their numbers. `None`: that is not possible.
    fn add_nodes(&self, types: &[i32], values: &[String], homes: &[Option<i64>]) -> Result<Option<Vec<i64>>, CdpError> {
        const NUMBERS: &str = "node_node_id_seq";
        let schema = &self.ws.name;
        if values.is_empty() || !guc::direct_write() || !sequence::is_usable(schema, NUMBERS) {
            return Ok(None);
        }
        let numbers = sequence::next(schema, NUMBERS, values.len())?;
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let done = enter::nodes(self.ws, &numbers, types, &values, homes, self.source_id, self.times())?;
        Ok(done.then_some(numbers))
    }

    /// Enters edges of a state that is not suspended without a query; `false`: that is not possible.
    fn add_edges(&self, edges: &[(i64, i64)], state: &str) -> Result<bool, CdpError> {
        let (from, to): (Vec<i64>, Vec<i64>) = edges.iter().copied().unzip();
        enter::edges(self.ws, &from, &to, self.source_id, self.trust, state, self.times())
    }

    /// When what is entered was seen first and last.
    fn times(&self) -> enter::Times<'static> {
        let at = Column::EachInt8(self.at.map_or_else(transaction::started_at, i64::from));
        (at, at)
    }

    /// Enters an edge for every two identifiers. Gives those between strong ones that the source had not shown before.
    fn edges(&self, seen: &[Seen], mut together: Together<'_>) -> Result<BTreeSet<(i64, i64)>, CdpError> {
        let mut fresh = BTreeSet::new();
        let (mut from, mut to, mut states, mut reasons) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut late, mut plain) = (Vec::new(), [("accepted", Vec::new()), ("weak", Vec::new())]);
        for (i, one) in seen.iter().enumerate() {
            for other in seen.iter().skip(i + 1) {
                let (a, b) = if one.node_id < other.node_id { (one, other) } else { (other, one) };
                if let Some(times) = self.sight.edges.get(&(a.node_id, b.node_id)) {
                    if self.at.map(i64::from).is_some_and(|at| at < times.0 || times.1 < at) {
                        late.push((a.node_id, b.node_id));
                    }
                    continue;
                }
                let (left, right) = (self.rules.get(a.type_id)?, self.rules.get(b.type_id)?);
                let hindered =
                    [(a, left), (b, right)].into_iter().find_map(|(s, ty)| Some((s.quarantine.as_ref()?, ty)));
                let (state, reason) = match hindered {
                    _ if !(left.strong && right.strong) => ("weak", None),
                    Some((quarantine, ty)) => ("suspended", Some(format!("{}: {quarantine}", ty.name))),
                    None => ("accepted", None),
                };
                if state != "weak" {
                    fresh.insert((a.node_id, b.node_id));
                }
                if let Some((_, edges)) = plain.iter_mut().find(|(of, _)| *of == state) {
                    edges.push((a.node_id, b.node_id));
                    continue;
                }
                from.push(a.node_id);
                to.push(b.node_id);
                states.push(state);
                reasons.push(reason);
            }
        }
        for (state, edges) in plain {
            if !edges.is_empty() && !self.add_edges(&edges, state)? {
                for (a, b) in edges {
                    from.push(a);
                    to.push(b);
                    states.push(state);
                    reasons.push(None);
                }
            }
        }
        if !from.is_empty() {
            let item = spi::rows_item(4, &["int8", "int8", "text", "text"], from.len());
            let trust = (f64::from(self.trust) / 100.0) as f32;
            let mut args: Vec<DatumWithOid> = vec![self.source_id.into(), trust.into(), self.at.into()];
            if from.len() <= spi::FEW_ROWS {
                for (((from, to), state), reason) in from.into_iter().zip(to).zip(states).zip(reasons) {
                    args.extend::<[DatumWithOid; 4]>([from.into(), to.into(), state.into(), reason.into()]);
                }
            } else {
                args.extend::<[DatumWithOid; 4]>([from.into(), to.into(), states.into(), reasons.into()]);
            }
            together.add(
                &self.ws.sql(&format!(
                    "INSERT INTO @ws@.edge (from_node, to_node, source_id, trust, state, reason, first_seen, last_seen) \
                     SELECT x.c1, x.c2, $1, $2, x.c3, x.c4, coalesce($3, now()), coalesce($3, now()) FROM {item}"
                )),
                args,
            );
        }
        if let Some(at) = self.at {
            sight::shown_at(self.ws, late, self.source_id, at, &mut together);
        }
        together.run(|_| Ok(()))?;
        Ok(fresh)
    }
}

/// Two identifiers, the smaller first.
fn ends(a: i64, b: i64) -> (i64, i64) {
    (a.min(b), a.max(b))
}

/// The profile of an identifier.
fn home(ws: &Workspace, node_id: i64) -> Result<i64, CdpError> {
    spi::rows_cached(&ws.sql("SELECT n.profile_id FROM @ws@.node n WHERE n.node_id = $1"), &[node_id.into()], |row| {
        spi::must::<i64>(row, 1)
    })?
    .into_iter()
    .next()
    .ok_or_else(|| CdpError::internal("an identifier is gone"))
}

/// Identifiers about which operators decided.
fn decided(ws: &Workspace, seen: &[&Seen], linking: &[&Seen]) -> Result<Vec<i64>, CdpError> {
    let ids: Vec<i64> = seen.iter().map(|s| s.node_id).collect();
    let profiles: Vec<i64> = linking.iter().filter_map(|s| s.home.map(|home| home.profile_id)).collect();
    graph::decided(ws, ids, profiles)
}

/// Identifiers of types with a limit within a window, in profiles with more of them than that.
fn crowded(ws: &Workspace, rules: &Rules, linking: &[&Seen]) -> Result<Vec<i64>, CdpError> {
    let mut found = Vec::new();
    for s in linking {
        let ty = rules.get(s.type_id)?;
        let (Some(limit), Some(_), true) = (ty.limit, ty.window_micros, s.home.is_some()) else { continue };
        found.extend(graph::crowded(ws, s.type_id, limit, vec![s.node_id])?);
    }
    Ok(found)
}
