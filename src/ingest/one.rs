//! Taking one message. One that says nothing new of who is who, and brings neither traits nor anything to be defined, is written beside others that are about other people; every other one
//! holds the workspace.

use super::answer::Answer;
use super::definitions;
use super::door::{code_of, reason_of};
use super::plan::{self, Plan, Trouble, moment};
use super::policy;
use super::realtime::{self, Cause};
use crate::error::CdpError;
use crate::event::one::{self, Landed};
use crate::event::validate;
use crate::expr::catalog::{self, Catalog};
use crate::expr::dependencies::Named;
use crate::guc;
use crate::identity::identify;
use crate::identity::origin;
use crate::identity::rules::Rules;
use crate::identity::sight::{self, Settled, Sight};
use crate::pg::scan::{self, Condition, Table};
use crate::pg::spi::{self, Together};
use crate::pg::transaction;
use crate::profile::{seen, single};
use crate::quality::tally::{Level, One};
use crate::workspace::Workspace;
use pg_cdp_core::message::{Message, Refused};
use pgrx::datum::TimestampWithTimeZone;
use serde_json::Value;
use std::collections::BTreeSet;
use std::rc::Rc;

/// A message on its way.
pub struct Taking<'a> {
    /// The workspace.
    pub ws: &'a Workspace,
    /// Name of its source.
    pub source: &'a str,
    /// The message.
    pub message: &'a Message,
    /// Its key: `messageId`, or one that was made for it.
    pub key: &'a str,
    /// When it came in, in microseconds since 2000.
    pub now: i64,
    /// Whether it is the only one of its transaction, as far as is known: then it may be written beside others.
    pub alone: bool,
    /// Whether it is counted among what came: it is not when it is taken again out of the rejects.
    pub counted: bool,
}

/// Rules, names and the plan of a message, as they are now.
struct Known {
    rules: Rc<Rules>,
    catalog: Rc<Catalog>,
    plan: Plan,
}

/// Where the facts of a message go.
struct Place {
    source_id: i32,
    trust: i32,
    node_id: i64,
    profile_id: i64,
    created_at: i64,
}

/// Takes out of a message what the rules of the dictionary reject.
fn obey(ws: &Workspace, plan: &mut Plan) -> Result<(), CdpError> {
    let event = match &plan.event {
        Some(event) => {
            let properties = serde_json::to_string(&event.properties).map_err(|e| CdpError::internal(e.to_string()))?;
            Some((event.name.as_str(), moment(event.time.at)?, properties))
        }
        None => None,
    };
    let traits: Vec<(i32, Option<&str>)> =
        plan.traits.iter().filter_map(|t| Some((t.attribute_id?, t.value.as_deref()))).collect();
    let broken =
        validate::one(ws, event.as_ref().map(|(name, at, properties)| (*name, *at, properties.as_str())), &traits)?;
    for rule in broken {
        if rule.level == Level::Reject {
            let part = match rule.attribute_id {
                None => {
                    plan.event = None;
                    plan.event_rejected = true;
                    "event".to_owned()
                }
                Some(id) => {
                    let name = plan.traits.iter().find(|t| t.attribute_id == Some(id)).map(|t| t.name.clone());
                    plan.traits.retain(|t| t.attribute_id != Some(id));
                    format!("traits.{}", name.unwrap_or_default())
                }
            };
            plan.refused.push(Refused { part, reason: rule.reason });
        } else {
            plan.warnings.push(rule.code);
        }
    }
    Ok(())
}

impl Taking<'_> {
    /// The answer that the message got before; `None` when it is new.
    fn answered(&self) -> Result<Option<Value>, CdpError> {
        let Some((source_id, _)) = origin::named(self.ws, self.source)? else { return Ok(None) };
        if !self.is_known(source_id)? {
            return Ok(None);
        }
        let answer = spi::rows_cached(
            &self.ws.sql(
                "SELECT m.answer::pg_catalog.text FROM @ws@.message m WHERE m.source_id = $1 AND m.message_id = $2",
            ),
            &[source_id.into(), self.key.into()],
            |row| spi::must::<String>(row, 1),
        )?;
        let Some(answer) = answer.into_iter().next() else { return Ok(None) };
        let event = self.message.event.is_some();
        let mut together = Together::default();
        self.count(source_id, One { event, repeated: event, ..One::default() }, &mut together);
        together.run(|_| Ok(()))?;
        serde_json::from_str(&answer).map(Some).map_err(|_| CdpError::corrupted("answer"))
    }

    fn count(&self, source_id: i32, one: One, together: &mut Together<'_>) {
        if self.counted {
            one.add(self.ws, source_id, together);
        }
    }

    /// Whether there may be an answer: a look that hardly any message needs more than.
    fn is_known(&self, source_id: i32) -> Result<bool, CdpError> {
        if !guc::direct_read() {
            return Ok(true);
        }
        let Some(messages) = Table::open(&self.ws.name, "message") else { return Ok(true) };
        let found = match messages.whole_index("message_pkey") {
            Some(index) => {
                let is = [Condition::Int4Is(1, source_id), Condition::TextIs(2, self.key)];
                scan::now(|| messages.first(index, &is, |_| Ok(())))
            }
            None => Ok(Some(())),
        };
        messages.close();
        Ok(found?.is_some())
    }

    /// Takes the message; gives the answer.
    pub fn take(&self) -> Result<Value, Trouble> {
        if self.alone
            && self.message.traits.is_empty()
            && !transaction::keeps_its_snapshot()
            && !self.ws.locked()?
            && let Some(answer) = self.beside()?
        {
            return Ok(answer);
        }
        self.holding()
    }

    fn know(&self) -> Result<Known, Trouble> {
        let (rules, catalog) = (Rules::load(self.ws)?, Catalog::load(self.ws)?);
        let source_id = origin::named(self.ws, self.source)?.map(|(source_id, _)| source_id);
        let policy = policy::of(self.ws, source_id)?;
        let mut plan = plan::plan(self.ws, &rules, &catalog, &policy, self.source, self.message, self.now)?;
        obey(self.ws, &mut plan)?;
        Ok(Known { rules, catalog, plan })
    }

    /// Where a message belongs that can be written beside others.
    fn settled(&self, known: &Known) -> Result<Option<Settled>, CdpError> {
        let plan = &known.plan;
        if plan.defines() || !plan.traits.is_empty() || !one::has_partition(self.ws, plan.time.at) {
            return Ok(None);
        }
        plan.sight.settled(self.ws, &known.rules, Some(plan.time.at))
    }

    /// Whom the message is about, when it says nothing new of that, as far as can be seen without a lock.
    fn whose(&self) -> Result<Option<i64>, CdpError> {
        let rules = Rules::load(self.ws)?;
        let wanted = plan::identifiers(self.ws, &rules, self.message, &mut Vec::new())?;
        let sight = Sight::read(self.ws, &wanted, self.source)?;
        Ok(sight.settled(self.ws, &rules, None)?.map(|settled| settled.profile_id))
    }

    /// Takes the message beside others; `None` when it has to hold the workspace, and nothing was written.
    fn beside(&self) -> Result<Option<Value>, Trouble> {
        let Some(profile_id) = self.whose()? else { return Ok(None) };
        self.ws.lock_person(profile_id)?;
        let back = || self.ws.unlock_person(profile_id).map(|()| None);
        // Others may have been at work until now.
        if let Some(answer) = self.answered()? {
            return Ok(Some(answer));
        }
        let known = self.know()?;
        match self.settled(&known)? {
            Some(settled) if settled.profile_id == profile_id => {
                let Some(place) = self.place(&known.plan.sight, &known.rules)? else { return Ok(back()?) };
                let mut answer = Answer { rejected: known.plan.refused.clone(), ..Answer::default() };
                if !self.event(&known, &place, &mut answer, false)? {
                    return Ok(back()?);
                }
                let mut together = Together::default();
                self.times(settled, place.source_id, known.plan.time.at, &mut together)?;
                self.finish(answer, &place, Some(BTreeSet::new()), &known, together).map(Some)
            }
            _ => Ok(back()?),
        }
    }

    /// Takes the message as the workspace's only writer.
    fn holding(&self) -> Result<Value, Trouble> {
        self.ws.lock()?;
        if let Some(answer) = self.answered()? {
            return Ok(answer);
        }
        let mut known = self.know()?;
        if known.plan.defines() {
            definitions::make(self.ws, &known.plan)?;
            let refused = std::mem::take(&mut known.plan.refused);
            known = self.know()?;
            known.plan.refused = refused;
        }
        plan::moments(known.plan.traits.iter_mut())?;
        let at = moment(known.plan.time.at)?;
        let mut answer = Answer { rejected: known.plan.refused.clone(), ..Answer::default() };
        let sight = &known.plan.sight;
        let mut identity = false;
        let mut together = Together::default();
        let place = match sight.settled(self.ws, &known.rules, Some(known.plan.time.at))? {
            Some(settled) => {
                let place = self.place(sight, &known.rules)?;
                if let Some(place) = &place {
                    self.times(settled, place.source_id, known.plan.time.at, &mut together)?;
                }
                place
            }
            None => {
                identity = true;
                let mut homes: Vec<i64> = sight.entered().filter_map(|s| Some(s.home?.profile_id)).collect();
                homes.sort_unstable();
                homes.dedup();
                let sight = std::mem::take(&mut known.plan.sight);
                let profile = identify::see(self.ws, &known.rules, &known.plan.wanted, sight, self.source, Some(at))?;
                let sight = Sight::read(self.ws, &known.plan.wanted, self.source)?;
                answer.created = homes.is_empty();
                answer.merged = self.retired(homes, profile)?;
                self.place(&sight, &known.rules)?
            }
        };
        let Some(place) = place else {
            return Err(Trouble::Error(CdpError::internal("a message has lost its identifiers")));
        };
        let mut changed = BTreeSet::new();
        self.traits(&known, &place, at, &mut answer)?;
        changed.extend(answer.traits.iter().map(|t| Named::Attribute(t.attribute_id)));
        if known.plan.event.is_some() {
            one::ensure_partition(self.ws, known.plan.time.at)?;
        }
        self.event(&known, &place, &mut answer, true)?;
        self.finish(answer, &place, (!identity).then_some(changed), &known, together)
    }

    /// Those of some profiles that live no longer.
    fn retired(&self, homes: Vec<i64>, profile: i64) -> Result<Vec<i64>, CdpError> {
        if homes.iter().all(|home| *home == profile) {
            return Ok(Vec::new());
        }
        spi::rows_cached(
            &self.ws.sql("SELECT p.profile_id FROM @ws@.profile p WHERE p.profile_id = ANY ($1) AND p.merged_into IS NOT NULL ORDER BY 1"),
            &[homes.into()],
            |row| spi::must::<i64>(row, 1),
        )
    }

    fn place(&self, sight: &Sight, rules: &Rules) -> Result<Option<Place>, CdpError> {
        let (Some((source_id, trust)), Some(subject)) = (sight.source, sight.subject(rules)?) else { return Ok(None) };
        Ok(subject.home.map(|home| Place {
            source_id,
            trust,
            node_id: subject.node_id,
            profile_id: home.profile_id,
            created_at: home.created_at,
        }))
    }

    /// Adds to `together` that identifiers were seen at another time.
    fn times(&self, settled: Settled, source_id: i32, at: i64, together: &mut Together<'_>) -> Result<(), CdpError> {
        let at = moment(at)?;
        sight::seen_at(self.ws, settled.nodes, at, together);
        sight::shown_at(self.ws, settled.edges, source_id, at, together);
        Ok(())
    }

    fn traits(
        &self,
        known: &Known,
        place: &Place,
        at: TimestampWithTimeZone,
        answer: &mut Answer,
    ) -> Result<(), CdpError> {
        let traits = known.plan.traits.iter().filter_map(|t| Some((t.attribute_id?, t.value.clone())));
        let traits: Vec<(i32, Option<String>)> = traits.collect();
        answer.traits =
            single::observe(self.ws, place.source_id, place.trust, place.node_id, place.profile_id, at, &traits)?;
        Ok(())
    }

    /// Writes the event; `false` when that needs the workspace lock, and nothing was written.
    fn event(&self, known: &Known, place: &Place, answer: &mut Answer, alone: bool) -> Result<bool, CdpError> {
        let Some(event) = &known.plan.event else { return Ok(true) };
        let Some(known_event) = known.catalog.events.get(&event.name) else {
            return Err(CdpError::internal("an event type is gone"));
        };
        let one = one::One {
            event_type_id: known_event.event_type_id,
            source_id: place.source_id,
            node_id: place.node_id,
            profile_id: place.profile_id,
            at: moment(event.time.at)?,
            key: self.key,
            properties: &event.properties,
            received: Some(moment(event.time.received)?),
            original: event.time.original.and_then(|original| TimestampWithTimeZone::try_from(original).ok()),
        };
        let landed = one::land(self.ws, known_event, &one, alone)?;
        answer.repeated = landed == Landed::Known;
        Ok(landed != Landed::NeedsLock)
    }

    /// Lets tags and segments follow, and keeps the answer. `changed` are attributes; `None`: who is who changed.
    fn finish(
        &self,
        mut answer: Answer,
        place: &Place,
        changed: Option<BTreeSet<Named>>,
        known: &Known,
        mut together: Together<'_>,
    ) -> Result<Value, Trouble> {
        answer.profile = Some(place.profile_id);
        let cause = match changed {
            None => Some(Cause::Identity),
            Some(mut changed) => {
                if let (Some(event), false) = (&self.message.event, answer.repeated) {
                    let event: Option<&catalog::Event> = known.catalog.events.get(&event.name);
                    changed.extend(event.map(|event| Named::Event(event.event_type_id)));
                }
                (!changed.is_empty()).then_some(Cause::Named(changed))
            }
        };
        if let Some(cause) = cause {
            answer.effects = realtime::follow(self.ws, place.profile_id, place.created_at, cause)?;
        }
        let json = answer.json(self.message);
        let plan = &known.plan;
        let at = moment(plan.time.at)?;
        let told = plan.traits.iter().filter(|t| t.value.is_some()).filter_map(|t| t.attribute_id);
        seen::one(self.ws, told.collect(), at, &mut together);
        let figures = One {
            rejected: plan.event_rejected,
            event: plan.event.is_some(),
            repeated: answer.repeated,
            at: Some(at),
            rejects: answer.rejected.iter().map(|part| code_of(&reason_of(part)).to_owned()).collect(),
            warnings: plan.warnings.clone(),
        };
        self.count(place.source_id, figures, &mut together);
        together.add(
            &self.ws.sql("INSERT INTO @ws@.message (source_id, message_id, received_at, answer) VALUES ($1, $2, $3, $4::pg_catalog.text::pg_catalog.jsonb)"),
            [place.source_id.into(), self.key.into(), moment(self.now)?.into(), json.to_string().into()],
        );
        together.run(|_| Ok(()))?;
        Ok(json)
    }
}
