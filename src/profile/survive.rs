//! Survivorship of many profiles in SQL: the rules of [`pg_cdp_core::survivorship`], set by set.

use crate::error::CdpError;
use crate::pg::{spi, temp};
use crate::profile::history;
use crate::store::column::{pg_type, value_column};
use crate::store::emit;
use crate::workspace::Workspace;
use pg_cdp_core::survivorship::{MOST_SUMMED_CHARACTERS, Rule};

/// A trait that may have changed.
struct Trait {
    attribute_id: i32,
    name: String,
    ty: String,
    rule: Rule,
}

/// What may have changed.
pub enum Of {
    /// Every trait: identifiers changed hands.
    All,
    /// These traits: there is news of them.
    These(Vec<i32>),
    /// This trait, because its rule did, just now.
    Ruled(i32),
}

/// Computes the values of the touched profiles and writes what changed, to the wide table and to the columns of bits.
pub fn survive(ws: &Workspace, of: Of) -> Result<(), CdpError> {
    spi::run("ANALYZE pg_temp.cdp_touched", &[])?;
    let (ids, ruled) = match of {
        Of::All => (None, false),
        Of::These(ids) => (Some(ids), false),
        Of::Ruled(id) => (Some(vec![id]), true),
    };
    let traits = traits(ws, ids)?;
    if traits.is_empty() {
        return Ok(());
    }
    let (mut pairs, mut before, mut after, mut set) = (String::new(), Vec::new(), Vec::new(), Vec::new());
    for t in &traits {
        let (id, column) = (t.attribute_id, value_column(&t.name));
        pairs
            .push_str(&format!(", v.{column} AS b{id}, (g.traits ->> '{id}')::pg_catalog.{} AS a{id}", pg_type(&t.ty)));
        before.push(format!("c.b{id}"));
        after.push(format!("c.a{id}"));
        set.push(format!("{column} = c.a{id}"));
    }
    golden(ws, &traits)?;
    temp::drop("cdp_change")?;
    spi::run(
        &ws.sql(&format!(
            "CREATE TEMPORARY TABLE cdp_change ON COMMIT DROP AS SELECT v.profile_id{pairs} FROM (SELECT DISTINCT x.profile_id FROM pg_temp.cdp_touched x) t \
             JOIN @ws@.profile_value v USING (profile_id) LEFT JOIN pg_temp.cdp_golden g USING (profile_id)"
        )),
        &[],
    )?;
    spi::run(
        &format!(
            "DELETE FROM pg_temp.cdp_change c WHERE ROW({}) IS NOT DISTINCT FROM ROW({})",
            before.join(", "),
            after.join(", ")
        ),
        &[],
    )?;
    temp::analyze("cdp_change", "profile_id")?;
    remember(ws, &traits, ruled)?;
    for column in emit::attribute_columns(ws, "trait")? {
        let id = column.attribute_id;
        if traits.iter().any(|t| t.attribute_id == id) {
            emit::attribute(
                ws,
                &column,
                &format!("(SELECT x.profile_id, x.b{id} AS before, x.a{id} AS after FROM pg_temp.cdp_change x)"),
            )?;
        }
    }
    spi::run(
        &ws.sql(&format!(
            "UPDATE @ws@.profile_value v SET {} FROM pg_temp.cdp_change c WHERE v.profile_id = c.profile_id",
            set.join(", ")
        )),
        &[],
    )?;
    spi::run("DROP TABLE pg_temp.cdp_change", &[])?;
    Ok(())
}

fn traits(ws: &Workspace, ids: Option<Vec<i32>>) -> Result<Vec<Trait>, CdpError> {
    spi::rows(
        &ws.sql(
            "SELECT a.attribute_id, a.name, a.type, a.rule FROM @ws@.attribute a WHERE a.kind = 'trait' AND ($1 IS NULL OR a.attribute_id = ANY ($1)) ORDER BY a.attribute_id",
        ),
        &[ids.into()],
        |row| {
            let rule: String = spi::must(row, 4)?;
            let rule = Rule::named(&rule).ok_or_else(|| CdpError::internal(format!("unknown rule \"{rule}\"")))?;
            Ok(Trait { attribute_id: spi::must(row, 1)?, name: spi::must(row, 2)?, ty: spi::must(row, 3)?, rule })
        },
    )
}

/// What the observations of the touched profiles come to, as an object of trait and text for each profile, in `cdp_golden`.
fn golden(ws: &Workspace, traits: &[Trait]) -> Result<(), CdpError> {
    // Tables and not subqueries: the planner knows their size, and twenty thousand profiles are not two hundred.
    temp::table("cdp_golden", "profile_id pg_catalog.int8, traits pg_catalog.jsonb")?;
    let ids = |some: &dyn Fn(&Trait) -> bool| -> Vec<String> {
        traits.iter().filter(|t| some(t)).map(|t| t.attribute_id.to_string()).collect()
    };
    let (recent, other) = (ids(&|t| t.rule == Rule::MostRecent), ids(&|t| t.rule != Rule::MostRecent));
    let mut parts = vec![
        "(SELECT DISTINCT ON (k.profile_id, k.key) k.profile_id, k.key, k.value FROM k WHERE k.key = ANY ($1) \
           ORDER BY k.profile_id, k.key, k.observed_at DESC, k.trust DESC, k.source_id, k.value COLLATE \"C\")"
            .to_owned(),
    ];
    parts.extend(traits.iter().filter(|t| t.rule != Rule::MostRecent).map(ruled_sql));
    // A value counts unless its source took back later what it had said.
    let counted = "c AS MATERIALIZED (SELECT x.* FROM (SELECT k.*, max(k.observed_at) FILTER (WHERE k.value IS NULL) OVER (PARTITION BY k.profile_id, k.key, k.source_id) AS cleared \
           FROM k WHERE k.key = ANY ($2)) x WHERE x.value IS NOT NULL AND (x.cleared IS NULL OR x.observed_at >= x.cleared))";
    spi::run(
        &ws.sql(&format!(
            "WITH o AS MATERIALIZED (SELECT t.profile_id, o.traits, o.observed_at, s.trust, s.source_id, count(*) OVER (PARTITION BY t.profile_id) AS times \
                 FROM (SELECT DISTINCT x.profile_id FROM pg_temp.cdp_touched x) t JOIN @ws@.node n USING (profile_id) \
                 JOIN @ws@.trait_observation o USING (node_id) JOIN @ws@.source s ON s.source_id = o.source_id), \
             k AS MATERIALIZED (SELECT o.profile_id, e.key, e.value, o.observed_at, o.trust, o.source_id FROM o CROSS JOIN LATERAL jsonb_each_text(o.traits) e WHERE o.times > 1), \
             {counted}, w AS ({}) \
             INSERT INTO pg_temp.cdp_golden (profile_id, traits) \
             SELECT o.profile_id, o.traits FROM o WHERE o.times = 1 UNION ALL SELECT w.profile_id, jsonb_object_agg(w.key, w.value) FROM w GROUP BY 1",
            parts.join(" UNION ALL ")
        )),
        &[recent.into(), other.into()],
    )?;
    temp::analyze("cdp_golden", "profile_id")?;
    Ok(())
}

/// A query of (profile, trait, text) for a trait with a rule of its own, from `c`: the candidates that count.
fn ruled_sql(t: &Trait) -> String {
    const TIES: &str = "x.trust DESC, x.observed_at DESC, x.source_id, x.value COLLATE \"C\"";
    let (id, ty) = (t.attribute_id, pg_type(&t.ty));
    let best = |from: &str, first: &str| {
        format!(
            "(SELECT DISTINCT ON (x.profile_id) x.profile_id, x.key, x.value FROM {from} x WHERE x.key = '{id}' ORDER BY x.profile_id, {first}{TIES})"
        )
    };
    let grouped = |value: &str, from: &str| {
        format!("(SELECT x.profile_id, x.key, {value} FROM {from} WHERE x.key = '{id}' GROUP BY 1, 2)")
    };
    match t.rule {
        Rule::MostRecent | Rule::SourceTrust => best("c", ""),
        Rule::Oldest => best("c", "x.observed_at, "),
        Rule::Longest => best("c", "char_length(x.value) DESC, "),
        Rule::Min => best("c", &format!("x.value::pg_catalog.{ty}, ")),
        Rule::Max => best("c", &format!("x.value::pg_catalog.{ty} DESC, ")),
        Rule::MostFrequent => best(
            &format!(
                "(SELECT c.*, count(*) OVER (PARTITION BY c.profile_id, c.value::pg_catalog.{ty}) AS times FROM c WHERE c.key = '{id}')"
            ),
            "x.times DESC, ",
        ),
        Rule::Sum if t.ty == "bigint" => grouped(
            "CASE WHEN sum(x.value::pg_catalog.int8) BETWEEN -9223372036854775808 AND 9223372036854775807 THEN sum(x.value::pg_catalog.int8)::pg_catalog.text END",
            "c x",
        ),
        // Far from where numeric itself ends.
        Rule::Sum => grouped(
            &format!(
                "CASE WHEN bool_and(length(x.value) <= {MOST_SUMMED_CHARACTERS}) \
                   THEN sum(CASE WHEN length(x.value) <= {MOST_SUMMED_CHARACTERS} THEN x.value::pg_catalog.numeric END)::pg_catalog.text END"
            ),
            "c x",
        ),
        Rule::Union => grouped(
            "coalesce(array_agg(DISTINCT u.e COLLATE \"C\" ORDER BY u.e COLLATE \"C\") FILTER (WHERE u.e IS NOT NULL), '{}')::pg_catalog.text",
            "c x LEFT JOIN LATERAL unnest(x.value::pg_catalog.text[]) u(e) ON true",
        ),
    }
}

/// Enters values that were replaced into the history, from the moment the new one was observed. The first value of a trait is no change. `ruled` tells that it is the
/// rule that changed: then it counts from now on.
fn remember(ws: &Workspace, traits: &[Trait], ruled: bool) -> Result<(), CdpError> {
    let replaced: Vec<String> = traits
        .iter()
        .map(|Trait { attribute_id: id, .. }| {
            format!(
                "coalesce(bool_or(c.b{id} IS DISTINCT FROM c.a{id} AND c.b{id} IS NOT NULL), false) OR EXISTS (SELECT FROM @ws@.attribute_history h WHERE h.attribute_id = {id})"
            )
        })
        .collect();
    let replaced = spi::one::<Vec<bool>>(
        &ws.sql(&format!("SELECT ARRAY[{}] FROM pg_temp.cdp_change c", replaced.join(", "))),
        &[],
    )?;
    let replaced = replaced.unwrap_or_default();
    let now = if ruled { "now()" } else { "NULL::pg_catalog.timestamptz" };
    for (Trait { attribute_id: id, .. }, _) in traits.iter().zip(replaced).filter(|(_, replaced)| *replaced) {
        // What is observed is never older than what is kept, unless observations went with a merge that was undone: then it counts from the last change on.
        let changes = format!(
            "(SELECT c.profile_id, c.b{id} AS before, c.a{id} AS after, coalesce(greatest(m.at, k.at, {now}), now()) AS moment FROM pg_temp.cdp_change c \
              CROSS JOIN LATERAL (SELECT max(h.from_at) AS at FROM @ws@.attribute_history h WHERE h.attribute_id = {id} AND h.profile_id = c.profile_id) k \
              CROSS JOIN LATERAL (SELECT max(o.observed_at) AS at FROM @ws@.node n JOIN @ws@.trait_observation o USING (node_id) WHERE n.profile_id = c.profile_id AND o.traits ? '{id}') m \
              WHERE c.b{id} IS DISTINCT FROM c.a{id} AND (c.b{id} IS NOT NULL OR k.at IS NOT NULL))"
        );
        history::newer(ws, *id, &changes, false)?;
    }
    Ok(())
}
