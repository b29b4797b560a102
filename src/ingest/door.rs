//! Where messages come in: one, an array or a batch; each is taken by itself, and what cannot be used goes to the rejects.

use super::one::Taking;
use super::plan::{self, Trouble};
use crate::error::CdpError;
use crate::identity::origin;
use crate::pg::spi::Together;
use crate::pg::{spi, transaction};
use crate::quality::tally::One;
use crate::workspace::Workspace;
use pg_cdp_core::message::{Envelope, Message, Refused, digest, printed, read};
use serde_json::{Map, Value, json};

/// The messages of a payload with what their batch says of all; `None` for a payload that is no message and holds none.
pub fn messages(payload: &Value) -> Option<(Vec<&Value>, Envelope<'_>, bool)> {
    match payload {
        Value::Array(items) => Some((items.iter().collect(), Envelope::default(), true)),
        Value::Object(object) => match object.get("batch") {
            Some(Value::Array(items)) => {
                let context = object.get("context").and_then(Value::as_object);
                Some((items.iter().collect(), Envelope { sent_at: object.get("sentAt"), context }, true))
            }
            _ => Some((vec![payload], Envelope::default(), false)),
        },
        _ => None,
    }
}

/// Takes a payload; gives the answer, or an array of them.
pub fn ingest(ws: &Workspace, source: &str, payload: &Value) -> Result<Value, CdpError> {
    let Some((messages, envelope, many)) = messages(payload) else {
        return Err(CdpError::invalid_parameter("the payload is neither a message nor an array of messages")
            .with_hint(r#"Send an object as in '{"type": "track", "userId": "u1", "event": "view", "properties": {}}', an array of them, or {"batch": […]}."#));
    };
    let alone = !many && !transaction::in_block();
    let mut answers = Vec::with_capacity(messages.len());
    for (nth, message) in messages.into_iter().enumerate() {
        pgrx::check_for_interrupts!();
        answers.push(take(ws, source, message, envelope, nth, alone)?);
    }
    if many { Ok(Value::Array(answers)) } else { Ok(answers.pop().unwrap_or(Value::Null)) }
}

/// The key of a message: its own, or one that says what it says, so that the same message again is the same fact; without an id and a time every one is another.
pub fn key_of(message: &Message, value: &Value, now: i64, nth: usize) -> String {
    match &message.id {
        Some(id) => id.clone(),
        None if message.clock.original.is_some() => format!("#{}", digest(value)),
        None => format!("#{}-{now}-{nth}", digest(value)),
    }
}

/// Takes one message.
fn take(
    ws: &Workspace,
    source: &str,
    value: &Value,
    envelope: Envelope,
    nth: usize,
    alone: bool,
) -> Result<Value, CdpError> {
    let now = transaction::started_at();
    let message = match read(value, envelope) {
        Ok(message) => message,
        Err(fault) => return refuse(ws, source, None, None, &as_received(value, envelope, now), &fault.0),
    };
    let key = key_of(&message, value, now, nth);
    let taking = Taking { ws, source, message: &message, key: &key, now, alone, counted: true };
    match taking.take() {
        Ok(answer) => {
            if let Some(Value::Array(parts)) = answer.get("rejected") {
                let parts: Vec<String> = parts.iter().filter_map(reason).collect();
                tell(ws, source, Some(&key), &as_received(value, envelope, now), &parts)?;
            }
            Ok(answer)
        }
        Err(Trouble::Fault(reason)) => {
            refuse(ws, source, Some(&key), Some(&message), &as_received(value, envelope, now), &reason)
        }
        Err(Trouble::Error(error)) => Err(error),
    }
}

/// The reason of a part that was left out, as the rejects have it.
fn reason(part: &Value) -> Option<String> {
    Some(format!("{}: {}", part.get("part")?.as_str()?, part.get("reason")?.as_str()?))
}

/// As [`reason`], of one that is not JSON yet.
pub fn reason_of(part: &Refused) -> String {
    format!("{}: {}", part.part, part.reason)
}

/// A message as it came, with what its batch said and when it was received, so that it says the same whenever it is taken again.
pub fn as_received(value: &Value, envelope: Envelope, now: i64) -> Value {
    let Value::Object(object) = value else { return value.clone() };
    let mut whole: Map<String, Value> = object.clone();
    whole.entry("receivedAt").or_insert_with(|| json!(printed(now)));
    if let Some(sent) = envelope.sent_at {
        whole.entry("sentAt").or_insert_with(|| sent.clone());
    }
    if let Some(context) = envelope.context {
        let own = whole.entry("context").or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(own) = own {
            for (key, value) in context {
                own.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
    }
    Value::Object(whole)
}

/// Rejects a message whole. It is not kept what was answered: when it comes again it may be right, under other rules; until then it gets the same answer, and is told once.
fn refuse(
    ws: &Workspace,
    source: &str,
    key: Option<&str>,
    message: Option<&Message>,
    payload: &Value,
    reason: &str,
) -> Result<Value, CdpError> {
    let rejects = vec![code_of(reason).to_owned()];
    let one = One { rejected: true, rejects, ..One::default() };
    enter(ws, source, key, payload, &[reason.to_owned()], Some(one))?;
    let mut answer = Map::new();
    // Of what could not be taken apart as much as it says.
    let said = |key: &str| payload.get(key).filter(|value| value.is_string()).cloned();
    let verb = message.map_or_else(|| said("type"), |message| Some(json!(message.verb.name())));
    let id = message.map_or_else(|| said("messageId"), |message| message.id.as_ref().map(|id| json!(id)));
    answer.extend(verb.map(|verb| ("type".to_owned(), verb)));
    answer.extend(id.map(|id| ("messageId".to_owned(), id)));
    answer.insert("profile".to_owned(), Value::Null);
    answer.insert("rejected".to_owned(), json!([{"part": "message", "reason": reason}]));
    Ok(Value::Object(answer))
}

/// The code of a reason: of a rule that was broken its own, which the reason says in words.
pub fn code_of(reason: &str) -> &'static str {
    const RULES: [(&str, &str); 7] = [
        (": below minimum (", "below_minimum"),
        (": above maximum (", "above_maximum"),
        (": not allowed (", "not_allowed"),
        (": pattern mismatch (", "pattern_mismatch"),
        (": required missing", "required_missing"),
        (": past retention (", "past_retention"),
        (" is blocked: ", "identifier_blocked"),
    ];
    if reason == plan::NOBODY {
        return "no_identifier";
    }
    let rule = RULES.iter().filter_map(|(words, code)| Some((reason.find(words)?, *code))).min();
    match rule {
        Some((_, code)) => code,
        None if reason.starts_with("identifier ") => "identifier_invalid",
        None => "message_invalid",
    }
}

/// Enters rejects of a message, for each reason one.
pub fn tell(
    ws: &Workspace,
    source: &str,
    key: Option<&str>,
    payload: &Value,
    reasons: &[String],
) -> Result<(), CdpError> {
    enter(ws, source, key, payload, reasons, None)
}

/// As [`tell`]; with `figures` the message is counted too.
fn enter(
    ws: &Workspace,
    source: &str,
    key: Option<&str>,
    payload: &Value,
    reasons: &[String],
    figures: Option<One>,
) -> Result<(), CdpError> {
    let source_id = match origin::named(ws, source)? {
        Some((source_id, _)) => source_id,
        None => {
            ws.lock()?;
            origin::of_calls(ws, source)?.0
        }
    };
    let codes: Vec<&str> = reasons.iter().map(|reason| code_of(reason)).collect();
    let kind = if payload.get("identifier_type").is_some() { "value" } else { "message" };
    let mut together = Together::default();
    if let Some(figures) = figures {
        figures.add(ws, source_id, &mut together);
    }
    together.add(
        &ws.sql(
            "INSERT INTO @ws@.reject (source_id, key, payload, kind, code, reason) \
             SELECT $1, $2, $3::pg_catalog.text::pg_catalog.jsonb, $6, x.code, x.reason FROM unnest($4::pg_catalog.text[], $5::pg_catalog.text[]) x(reason, code) ON CONFLICT DO NOTHING",
        ),
        [source_id.into(), key.into(), payload.to_string().into(), reasons.to_vec().into(), codes.into(), kind.into()],
    );
    together.run(|_| Ok(()))?;
    Ok(())
}

/// Takes a message of a source again that was rejected, or parts of it; gives why it, or a part of it, is rejected again.
pub fn replay(ws: &Workspace, source: &str, payload: &Value) -> Result<Vec<String>, CdpError> {
    let message = match read(payload, Envelope::default()) {
        Ok(message) => message,
        Err(fault) => return Ok(vec![fault.0]),
    };
    let now = transaction::started_at();
    let key = key_of(&message, payload, now, 0);
    ws.lock()?;
    // What it was answered does not hold any more: a part of it may be taken now.
    spi::rows_cached(
        &ws.sql("DELETE FROM @ws@.message m USING @ws@.source s WHERE s.source_id = m.source_id AND s.name = $1 AND m.message_id = $2"),
        &[source.into(), key.as_str().into()],
        |_| Ok(()),
    )?;
    let taking = Taking { ws, source, message: &message, key: &key, now, alone: false, counted: false };
    match taking.take() {
        Ok(answer) => {
            let parts = answer.get("rejected").and_then(Value::as_array);
            Ok(parts.into_iter().flatten().filter_map(reason).collect())
        }
        Err(Trouble::Fault(reason)) => Ok(vec![reason]),
        Err(Trouble::Error(error)) => Err(error),
    }
}
