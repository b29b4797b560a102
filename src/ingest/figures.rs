//! Which messages of a batch have a value of what: the null rates of their source.

use super::plan::Plan;
use crate::error::CdpError;
use crate::identity::rules::Rules;
use crate::pg::spi;
use crate::quality::tally::Tally;
use crate::workspace::Workspace;
use pg_cdp_core::message::{Message, Verb};
use std::collections::HashMap;

/// What is not met for so many days is not looked for any more.
const DAYS: i32 = 7;

/// Counts, of every identifier type, trait and property that the source has told these days, the messages that might have it and those that have it: of an identifier every message, of a
/// trait the identify calls, of a property the events of its type.
pub fn fields<'a>(
    ws: &Workspace,
    source_id: i32,
    rules: &Rules,
    messages: impl Iterator<Item = (&'a Message, &'a Plan)>,
    tally: &mut Tally,
) -> Result<(), CdpError> {
    let mut present: HashMap<(&'static str, &str, &str), i64> = HashMap::new();
    let mut events: HashMap<&str, i64> = HashMap::new();
    let (mut all, mut identifies) = (0, 0);
    for (message, plan) in messages {
        all += 1;
        identifies += i64::from(message.verb == Verb::Identify);
        for (i, identifier) in message.identifiers.iter().enumerate() {
            // Several of one type are one value.
            if message.identifiers.iter().take(i).all(|other| other.ty != identifier.ty) {
                *present.entry(("identifier", "", &identifier.ty)).or_default() += 1;
            }
        }
        for t in plan.traits.iter().filter(|t| t.value.is_some()) {
            *present.entry(("trait", "", &t.name)).or_default() += 1;
        }
        if let Some(event) = &plan.event {
            *events.entry(&event.name).or_default() += 1;
            for name in event.properties.keys() {
                *present.entry(("property", &event.name, name)).or_default() += 1;
            }
        }
    }
    let known = spi::rows(
        &ws.sql("SELECT DISTINCT f.kind, f.event, f.name FROM @ws@.data_quality_field f WHERE f.source_id = $1 AND f.day > current_date - $2"),
        &[source_id.into(), DAYS.into()],
        |row| Ok((spi::must::<String>(row, 1)?, spi::must::<String>(row, 2)?, spi::must::<String>(row, 3)?)),
    )?;
    for (kind, event, name) in &known {
        let Some(kind) = ["identifier", "trait", "property"].into_iter().find(|known| known == kind) else { continue };
        present.entry((kind, event, name)).or_default();
    }
    for ((kind, event, name), with) in present {
        let rows = match kind {
            "identifier" if rules.types.iter().any(|ty| ty.name == name) => all,
            "trait" => identifies,
            "property" => events.get(event).copied().unwrap_or(0),
            _ => 0,
        };
        if rows > 0 {
            tally.field(kind, event, name, rows, with);
        }
    }
    Ok(())
}
