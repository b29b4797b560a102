//! `cdp_profile`: the whole picture of one person as jsonb.

use crate::error::CdpError;
use crate::identity;
use crate::pg::json::JsonText;
use crate::pg::spi;
use crate::profile::provenance;
use crate::workspace::{self, Workspace};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// Events shown in the picture.
const RECENT_EVENTS: i32 = 20;

/// Every part is read at the moment of the call. $3 tells where the value of each trait comes from.
const PROFILE: &str = "SELECT jsonb_build_object( \
    'profile_id', p.profile_id, \
    'created_at', p.created_at, \
    'identifiers', coalesce((SELECT jsonb_agg(jsonb_build_object('type', t.name, 'value', n.value, 'source', s.name, 'first_seen', n.first_seen, 'last_seen', n.last_seen) \
        ORDER BY t.priority, n.value) FROM @ws@.node n JOIN @ws@.identifier_type t USING (type_id) JOIN @ws@.source s USING (source_id) WHERE n.profile_id = p.profile_id), '[]'), \
    'traits', coalesce((SELECT jsonb_object_agg(k.key, jsonb_build_object('value', to_jsonb(v) -> k.key) || k.value) FROM jsonb_each($3::pg_catalog.text::pg_catalog.jsonb) k), '{}'), \
    'tags', coalesce((SELECT jsonb_object_agg(a.name, jsonb_build_object('value', to_jsonb(v) -> a.name, 'refreshed_at', a.refreshed_at)) FROM @ws@.attribute a WHERE a.kind = 'tag' AND to_jsonb(v) -> a.name <> 'null'), '{}'), \
    'segments', coalesce((SELECT jsonb_agg(m.name ORDER BY m.name) FROM ( \
        SELECT g.name, @ext@._cdp_fold('set', (SELECT c.bits FROM @ws@.chunk c WHERE c.column_id = s.column_id AND c.key = 0 AND c.shard = p.profile_id >> 20), \
            ARRAY(SELECT d.cells FROM @ws@.pending d WHERE d.column_id = s.column_id AND d.key = 0 AND d.shard = p.profile_id >> 20)) AS bits \
        FROM @ws@.segment g JOIN @ws@.store_column s USING (segment_id)) m WHERE @ext@._cdp_set_has(m.bits, (p.profile_id & 1048575)::integer)), '[]'), \
    'events', (SELECT count(*) FROM @ws@.node n JOIN @ws@.event_facts e USING (node_id) WHERE n.profile_id = p.profile_id), \
    'recent_events', coalesce((SELECT jsonb_agg(jsonb_build_object('event', x.event, 'at', x.at, 'source', x.source, 'properties', x.properties) ORDER BY x.at DESC, x.event_id DESC) FROM ( \
        SELECT e.event_id, t.name AS event, e.at, s.name AS source, e.properties FROM @ws@.node n JOIN @ws@.event_facts e USING (node_id) JOIN @ws@.event_type t USING (event_type_id) \
        JOIN @ws@.source s ON s.source_id = e.source_id WHERE n.profile_id = p.profile_id ORDER BY e.at DESC, e.event_id DESC LIMIT $2) x), '[]') \
  )::pg_catalog.text FROM @ws@.profile p JOIN @ws@.profile_value v USING (profile_id) WHERE p.profile_id = $1";

fn picture(ws: &Workspace, profile_id: i64) -> Result<Option<JsonText>, CdpError> {
    let provenance = provenance::of(ws, profile_id)?;
    let args = [profile_id.into(), RECENT_EVENTS.into(), provenance.into()];
    Ok(spi::one::<String>(&ws.sql(PROFILE), &args)?.map(JsonText::new))
}

#[pg_extern(name = "cdp_profile", stable, strict, parallel_unsafe)]
fn cdp_profile_by_id(profile_id: i64) -> Result<Option<JsonText>, ErrorReport> {
    Ok(workspace::enter_reading(|ws| match identity::resolve(ws, profile_id)? {
        Some(live) => picture(ws, live),
        None => Ok(None),
    })?)
}

// Written out because an argument called "type" is a keyword of Rust.
#[pg_extern(
    sql = "CREATE FUNCTION cdp_profile(\"type\" text, value text) RETURNS jsonb STRICT STABLE PARALLEL UNSAFE LANGUAGE c AS '@MODULE_PATHNAME@', '@FUNCTION_NAME@';"
)]
fn cdp_profile_by_identifier(kind: &str, value: &str) -> Result<Option<JsonText>, ErrorReport> {
    Ok(workspace::enter_reading(|ws| match identity::find(ws, kind, value)? {
        Some(profile_id) => picture(ws, profile_id),
        None => Ok(None),
    })?)
}
