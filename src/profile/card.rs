//! `cdp_service_card`: what somebody who serves a person needs at hand. The roles of event types and properties in the dictionary shape it; no name does.
//!
//! Roles of event types: `view`, `cart_add`, `cart_remove`, `order`, `ticket_open`, `ticket_close`. Roles of properties: `item`, `quantity`, `amount`, `status`, and
//! `order` and `ticket`, the number of one.

use crate::error::CdpError;
use crate::identity;
use crate::pg::json::JsonText;
use crate::pg::{settings, spi};
use crate::store::column::day_sql;
use crate::workspace::{self, Workspace};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// Items that were looked at last.
const VIEWS: i32 = 10;
/// Orders that are told.
const ORDERS: i32 = 5;
/// Views that are looked through for different items.
const VIEWS_READ: i32 = 200;

/// Days that count as now, and days before that count as what is usual.
const PRESENT_DAYS: i32 = 30;
const PAST_DAYS: i32 = 180;

/// The parts. An order empties the cart. What has no item, order or ticket of its own is one by itself; a ticket is closed by a later event of its number, or, when
/// it has none, by any later one without a number.
fn card_sql() -> String {
    let role = |role: &str| {
        format!(
            "(SELECT p.name FROM @ws@.property p WHERE p.event_type_id = t.event_type_id AND p.role = '{role}' ORDER BY p.property_id LIMIT 1)"
        )
    };
    let number = |property: &str| {
        format!(
            "CASE WHEN jsonb_typeof(e.properties -> r.{property}) = 'number' THEN (e.properties ->> r.{property})::pg_catalog.numeric END"
        )
    };
    format!(
        "WITH r AS MATERIALIZED (SELECT t.event_type_id, t.name, t.role, {item} AS item, {quantity} AS quantity, {amount} AS amount, {status} AS status, {order} AS orders, {ticket} AS ticket \
             FROM @ws@.event_type t WHERE t.role IN ('view', 'cart_add', 'cart_remove', 'order', 'ticket_open', 'ticket_close')), \
         n AS MATERIALIZED (SELECT n.node_id FROM @ws@.node n WHERE n.profile_id = $1), \
         e AS MATERIALIZED (SELECT e.event_id, e.at, r.name AS event, r.role, e.properties ->> r.item AS item, {quantity_of} AS quantity, {amount_of} AS amount, \
                 e.properties ->> r.status AS status, e.properties ->> r.orders AS orders, e.properties ->> r.ticket AS ticket \
             FROM n JOIN @ws@.event_facts e USING (node_id) JOIN r USING (event_type_id) WHERE e.at <= now() AND r.role <> 'view'), \
         views AS (SELECT x.* FROM (SELECT DISTINCT ON (coalesce(v.item, v.event_id::pg_catalog.text)) v.* \
                 FROM (SELECT e.event_id, e.at, r.name AS event, e.properties ->> r.item AS item FROM n JOIN @ws@.event_facts e USING (node_id) JOIN r USING (event_type_id) \
                     WHERE e.at <= now() AND r.role = 'view' ORDER BY e.at DESC, e.event_id DESC LIMIT {VIEWS_READ}) v \
                 ORDER BY coalesce(v.item, v.event_id::pg_catalog.text), v.at DESC, v.event_id DESC) x ORDER BY x.at DESC, x.event_id DESC LIMIT {VIEWS}), \
         ordered AS (SELECT max(e.at) AS at FROM e WHERE e.role = 'order'), \
         cart AS (SELECT e.item, max(e.at) AS at, sum(CASE e.role WHEN 'cart_add' THEN 1 ELSE -1 END * coalesce(e.quantity, 1)) AS quantity, \
                 (array_agg(e.amount ORDER BY e.at DESC, e.event_id DESC) FILTER (WHERE e.role = 'cart_add' AND e.amount IS NOT NULL))[1] AS amount \
             FROM e CROSS JOIN ordered o WHERE e.role IN ('cart_add', 'cart_remove') AND (o.at IS NULL OR e.at > o.at) GROUP BY 1 \
             HAVING sum(CASE e.role WHEN 'cart_add' THEN 1 ELSE -1 END * coalesce(e.quantity, 1)) > 0), \
         orders AS (SELECT coalesce(e.orders, 'event ' || e.event_id) AS order_key, max(e.orders) AS orders, max(e.at) AS at, max(e.event_id) AS event_id, sum(e.amount) AS amount, \
                 (array_agg(e.status ORDER BY e.at DESC, e.event_id DESC) FILTER (WHERE e.status IS NOT NULL))[1] AS status, \
                 (array_agg(e.event ORDER BY e.at DESC, e.event_id DESC))[1] AS event, \
                 coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object('item', e.item, 'quantity', e.quantity)) ORDER BY e.at, e.event_id) FILTER (WHERE e.item IS NOT NULL), '[]') AS items \
             FROM e WHERE e.role = 'order' GROUP BY 1), \
         tickets AS (SELECT DISTINCT ON (coalesce(o.ticket, 'event ' || o.event_id)) o.* FROM e o WHERE o.role = 'ticket_open' \
                 AND NOT EXISTS (SELECT FROM e c WHERE c.role = 'ticket_close' AND c.ticket IS NOT DISTINCT FROM o.ticket AND (c.at, c.event_id) > (o.at, o.event_id)) \
             ORDER BY coalesce(o.ticket, 'event ' || o.event_id), o.at, o.event_id), \
         {health} \
         SELECT jsonb_build_object( \
             'profile_id', $1, \
             'as_of', now(), \
             'recent_views', coalesce((SELECT jsonb_agg(jsonb_build_object('event', v.event, 'at', v.at, 'item', v.item) ORDER BY v.at DESC, v.event_id DESC) FROM views v), '[]'), \
             'open_cart', (SELECT jsonb_build_object( \
                 'items', coalesce(jsonb_agg(jsonb_build_object('item', c.item, 'quantity', c.quantity, 'amount', c.amount, 'at', c.at) ORDER BY c.at DESC, c.item COLLATE \"C\"), '[]'), \
                 'amount', sum(c.quantity * c.amount)) FROM cart c), \
             'orders', jsonb_build_object( \
                 'count', (SELECT count(*) FROM orders), 'amount', (SELECT sum(o.amount) FROM orders o), \
                 'last', coalesce((SELECT jsonb_agg(jsonb_build_object('event', o.event, 'at', o.at, 'order', o.orders, 'amount', o.amount, 'status', o.status, 'items', o.items) ORDER BY o.at DESC, o.event_id DESC) \
                     FROM (SELECT o.* FROM orders o ORDER BY o.at DESC, o.event_id DESC LIMIT {ORDERS}) o), '[]')), \
             'open_tickets', coalesce((SELECT jsonb_agg(jsonb_build_object('event', k.event, 'at', k.at, 'ticket', k.ticket, 'status', k.status) ORDER BY k.at, k.event_id) FROM tickets k), '[]'), \
             'health', (SELECT h.health FROM health h) \
         )::pg_catalog.text",
        item = role("item"),
        quantity = role("quantity"),
        amount = role("amount"),
        status = role("status"),
        order = role("order"),
        ticket = role("ticket"),
        quantity_of = number("quantity"),
        amount_of = number("amount"),
        health = health_sql(),
    )
}

/// A person against the own past. Recency: the usual gap between two active days by the days since the last, at most 1. Frequency: active days of the present thirty by
/// what thirty days had in the half year before, at most 1. Health is the mean of both, of 100; nothing is said of who has no past of thirty days or one active day.
fn health_sql() -> String {
    format!(
        "days AS MATERIALIZED (SELECT DISTINCT {day} AS day FROM n JOIN @ws@.event_facts e USING (node_id) WHERE e.at <= now()), \
         known AS (SELECT min(d.day) AS first, max(d.day) AS last, count(*) AS active, {today} AS today FROM days d), \
         spans AS (SELECT k.*, greatest(k.first, k.today - {before}) AS past_from, k.today - {PRESENT_DAYS} AS past_to FROM known k), \
         counted AS (SELECT s.*, (SELECT count(*) FROM days d WHERE d.day > s.past_to) AS present, (SELECT count(*) FROM days d WHERE d.day BETWEEN s.past_from AND s.past_to) AS past, \
                 s.past_to - s.past_from + 1 AS past_days, s.today - s.last AS since, CASE WHEN s.active > 1 THEN (s.last - s.first)::pg_catalog.numeric / (s.active - 1) END AS gap FROM spans s), \
         rated AS (SELECT c.*, CASE WHEN c.gap IS NULL THEN NULL WHEN c.since <= c.gap THEN 1 ELSE c.gap / c.since END AS recency, \
                 {PRESENT_DAYS} * c.past::pg_catalog.numeric / nullif(c.past_days, 0) AS usual FROM counted c), \
         scored AS (SELECT r.*, CASE WHEN r.past_days >= {PRESENT_DAYS} THEN CASE WHEN r.usual > r.present THEN r.present / r.usual ELSE 1 END END AS frequency FROM rated r), \
         health AS (SELECT CASE WHEN s.active > 0 THEN jsonb_build_object( \
                 'score', round(100 * (s.recency + s.frequency) / 2), 'recency', round(s.recency, 2), 'frequency', round(s.frequency, 2), \
                 'days_since_last', s.since, 'usual_gap_days', round(s.gap, 1), 'active_days', s.present, 'usual_active_days', CASE WHEN s.past_days >= {PRESENT_DAYS} THEN round(s.usual, 1) END) END AS health FROM scored s)",
        day = day_sql("e.at"),
        today = day_sql("now()"),
        before = PRESENT_DAYS + PAST_DAYS - 1,
    )
}

fn card(ws: &Workspace, profile_id: i64) -> Result<Option<JsonText>, CdpError> {
    // There are as many partitions as months: to plan for them anew would cost more than to read.
    settings::set("plan_cache_mode", "force_generic_plan")?;
    let card = spi::rows_cached(&ws.sql(&card_sql()), &[profile_id.into()], |row| spi::must::<String>(row, 1))?;
    Ok(card.into_iter().next().map(JsonText::new))
}

#[pg_extern(stable, strict, parallel_unsafe)]
fn cdp_service_card(profile_id: i64) -> Result<Option<JsonText>, ErrorReport> {
    Ok(workspace::enter_reading(|ws| match identity::resolve(ws, profile_id)? {
        Some(live) => card(ws, live),
        None => Ok(None),
    })?)
}
