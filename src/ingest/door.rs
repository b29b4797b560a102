//! Where messages come in: one, an array or a batch; each is taken by itself, and what cannot be used goes to the rejects.

use super::one::Taking;
use super::plan::{self, Trouble};
use crate::error::CdpError;
use crate::identity::origin;
use crate::pg::{spi, transaction};
use crate::workspace::Workspace;
use pg_cdp_core::message::{Envelope, Refused, digest, printed, read};
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
pub fn key_of(message: &pg_cdp_core::message::Message, value: &Value, now: i64, nth: usize) -> String {
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
        Err(fault) => return refuse(ws, source, None, value, envelope, &fault.0, now),
    };
    let key = key_of(&message, value, now, nth);
    let taking = Taking { ws, source, message: &message, key: &key, now, alone };
    match taking.take() {
        Ok(answer) => {
            if let Some(Value::Array(parts)) = answer.get("rejected") {
                let parts: Vec<String> = parts.iter().filter_map(reason).collect();
                tell(ws, source, Some(&key), &as_received(value, envelope, now), &parts)?;
            }
            Ok(answer)
        }
        Err(Trouble::Fault(reason)) => refuse(ws, source, Some(&key), value, envelope, &reason, now),
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

fn refuse(
    ws: &Workspace,
    source: &str,
    key: Option<&str>,
    value: &Value,
    envelope: Envelope,
    reason: &str,
    now: i64,
) -> Result<Value, CdpError> {
    tell(ws, source, key, &as_received(value, envelope, now), &[reason.to_owned()])?;
    Ok(json!({"profile": null, "rejected": [{"part": "message", "reason": reason}]}))
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
    let source_id = match origin::named(ws, source)? {
        Some((source_id, _)) => source_id,
        None => {
            ws.lock()?;
            origin::of_calls(ws, source)?.0
        }
    };
    let codes: Vec<&str> = reasons.iter().map(|reason| code_of(reason)).collect();
    let kind = if payload.get("identifier_type").is_some() { "value" } else { "message" };
    spi::rows_cached(
        &ws.sql(
            "INSERT INTO @ws@.reject (source_id, key, payload, kind, code, reason) \
             SELECT $1, $2, $3::pg_catalog.text::pg_catalog.jsonb, $6, x.code, x.reason FROM unnest($4::pg_catalog.text[], $5::pg_catalog.text[]) x(reason, code) ON CONFLICT DO NOTHING",
        ),
        &[source_id.into(), key.into(), payload.to_string().into(), reasons.to_vec().into(), codes.into(), kind.into()],
        |_| Ok(()),
    )?;
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
    let taking = Taking { ws, source, message: &message, key: &key, now, alone: false };
    match taking.take() {
        Ok(answer) => {
            let parts = answer.get("rejected").and_then(Value::as_array);
            Ok(parts.into_iter().flatten().filter_map(reason).collect())
        }
        Err(Trouble::Fault(reason)) => Ok(vec![reason]),
        Err(Trouble::Error(error)) => Err(error),
    }
}
