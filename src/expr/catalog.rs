//! The names and columns of a workspace, and what has been worked out from them before.
//!
//! A backend keeps the catalogue that it read last, with the list of row versions it was read from. A question whose snapshot
//! sees exactly these versions takes it; so nothing has to be told to anybody, and a catalogue cannot be stale.

use crate::error::CdpError;
use crate::guc;
use crate::pg::scan::{self, Condition, LIFETIME, Table, Version};
use crate::pg::{spi, transaction};
use crate::store::group::{Group, MEMBERS, PERSON};
use crate::workspace::Workspace;
use pg_cdp_core::expr::ast::{Expr, Type};
use pg_cdp_core::expr::error::ExprError;
use pg_cdp_core::expr::parse::Limits;
use pg_cdp_core::expr::{check, compile_with};
use pg_cdp_core::plan::Plan;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

/// An attribute as expressions see it.
pub struct Attribute {
    /// Its number.
    pub attribute_id: i32,
    /// Its type.
    pub ty: Type,
    /// Whether it is a tag and not a trait.
    pub tag: bool,
    /// The expression of a tag.
    pub expression: Option<String>,
    /// The dictionary of its values.
    pub dictionary_id: i32,
    /// Its column, when it is ready: number, `set` or `number`, scale.
    pub column: Option<(i32, bool, u32)>,
    /// Its forward column, when that is ready.
    pub forward: Option<i32>,
}

/// A property as expressions see it.
pub struct Property {
    /// Its number.
    pub property_id: i32,
    /// Its type.
    pub ty: Type,
    /// The dictionary of its values.
    pub dictionary_id: i32,
}

/// An event type: its number and properties.
pub struct Event {
    /// Its number.
    pub event_type_id: i32,
    /// Its properties by name.
    pub properties: HashMap<String, Property>,
    /// Its day columns that are ready: (property, measure) to column and scale; 0 for none.
    pub days: HashMap<(i32, i32), (i32, u32)>,
}

/// A segment as expressions see it.
pub struct Segment {
    /// Its number.
    pub segment_id: i32,
    /// Its column.
    pub column_id: i32,
    /// The expression of a dynamic segment.
    pub expression: Option<String>,
}

/// Everything an expression can name.
pub struct Catalog {
    /// The entity type whose groups expressions are about; `None` for people.
    pub entity: Option<String>,
    /// Attributes of others, each with what it describes: `person` or an entity type.
    pub elsewhere: HashMap<String, String>,
    /// Column of the live profiles.
    pub universe: i32,
    /// Attributes by name.
    pub attributes: HashMap<String, Attribute>,
    /// Event types by name.
    pub events: HashMap<String, Event>,
    /// Segments by name.
    pub segments: HashMap<String, Segment>,
    /// Identifier types: name and number.
    pub identifier_types: Vec<(String, i32)>,
    /// Expressions that have been parsed and checked against it.
    parsed: RefCell<Parsed>,
    /// Plans of expressions, by their text, with what else they depend on.
    plans: RefCell<HashMap<String, KeptPlan>>,
}

/// The tables a catalogue is read from; plans also depend on the settings of the workspace.
const TABLES: [&str; 7] =
    ["workspace", "attribute", "event_type", "property", "store_column", "segment", "identifier_type"];

/// Expressions by their text, the type that was wanted and the limits they kept to.
type Parsed = HashMap<(String, Option<Type>, Limits), Rc<Expr>>;

/// A plan, and the dictionaries that were looked into for it with the last row of each. Dictionaries only grow, one writer at a
/// time, so the same last row means the same dictionary.
#[derive(Clone)]
struct KeptPlan {
    plan: Rc<Plan>,
    dictionaries: Vec<(i32, Option<Version>)>,
}

/// The most expressions, and the most plans, that are kept with a catalogue; then they are collected anew.
const MOST_KEPT: usize = 1024;

/// A catalogue that was read before.
struct Kept {
    workspace: String,
    versions: Vec<Version>,
    since: u64,
    catalog: Rc<Catalog>,
}

thread_local! {
    /// Taken out while it is looked at, so that an error cannot leave half of one.
    static KEPT: Cell<Option<Kept>> = const { Cell::new(None) };
}

/// The type a catalogue row names.
pub fn type_of(name: &str) -> Result<Type, CdpError> {
    Ok(match name {
        "boolean" => Type::Boolean,
        "bigint" => Type::Bigint,
        "numeric" => Type::Numeric,
        "text" => Type::Text,
        "text[]" => Type::TextSet,
        "date" => Type::Date,
        "timestamptz" => Type::Timestamptz,
        _ => return Err(CdpError::internal(format!("unknown type \"{name}\" in the catalogue"))),
    })
}

impl Catalog {
    /// The catalogue of a workspace as the snapshot sees it.
    pub fn load(ws: &Workspace) -> Result<Rc<Self>, CdpError> {
        // What a function that only reads sees is what the statement that calls it sees; one that writes sees its own changes too.
        let versions = match (guc::direct_read(), spi::reading()) {
            (false, _) => None,
            (true, true) => versions(ws),
            (true, false) => scan::versions(&ws.name, &TABLES)?,
        };
        let Some(versions) = versions else { return Ok(Rc::new(Self::read(ws, PERSON)?)) };
        let now = transaction::next_full_id();
        if let Some(kept) = KEPT.take()
            && kept.workspace == ws.name
            && kept.versions == versions
            && now.saturating_sub(kept.since) < LIFETIME
        {
            let catalog = Rc::clone(&kept.catalog);
            KEPT.set(Some(kept));
            return Ok(catalog);
        }
        let catalog = Rc::new(Self::read(ws, PERSON)?);
        KEPT.set(Some(Kept { workspace: ws.name.clone(), versions, since: now, catalog: Rc::clone(&catalog) }));
        Ok(catalog)
    }

    /// The expression of a text, checked against the catalogue.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn expression(&self, text: &str, want: Option<Type>) -> Result<Rc<Expr>, ExprError> {
        let limits = guc::expression_limits();
        let key = (text.to_owned(), want, limits);
        if let Ok(parsed) = self.parsed.try_borrow()
            && let Some(expr) = parsed.get(&key)
        {
            return Ok(Rc::clone(expr));
        }
        let expr = Rc::new(compile_with(text, self, want, &limits)?);
        if let Ok(mut parsed) = self.parsed.try_borrow_mut() {
            if parsed.len() >= MOST_KEPT {
                parsed.clear();
            }
            parsed.insert(key, Rc::clone(&expr));
        }
        Ok(expr)
    }

    /// The plan of a text that was kept, if the dictionaries are still what it was made from.
    pub fn kept_plan(&self, ws: &Workspace, text: &str) -> Option<Rc<Plan>> {
        let kept = self.plans.try_borrow().ok()?.get(text)?.clone();
        let ids: Vec<i32> = kept.dictionaries.iter().map(|(id, _)| *id).collect();
        (last_rows(ws, &ids)? == kept.dictionaries).then_some(kept.plan)
    }

    /// Keeps a plan that depends on the text, the catalogue and these dictionaries, and on nothing else.
    pub fn keep_plan(&self, ws: &Workspace, text: &str, plan: &Rc<Plan>, dictionaries: &[i32]) {
        let (Some(dictionaries), Ok(mut plans)) = (last_rows(ws, dictionaries), self.plans.try_borrow_mut()) else {
            return;
        };
        if plans.len() >= MOST_KEPT {
            plans.clear();
        }
        plans.insert(text.to_owned(), KeptPlan { plan: Rc::clone(plan), dictionaries });
    }

    /// The catalogue of expressions about the groups of an entity type. It is read anew each time: what is asked with it is a scan.
    pub fn of_group(ws: &Workspace, group: &Group) -> Result<Rc<Self>, CdpError> {
        Ok(Rc::new(Self::read(ws, &group.name)?))
    }

    /// Reads the catalogue of people or of an entity type.
    fn read(ws: &Workspace, entity: &str) -> Result<Self, CdpError> {
        let mut catalog = Self {
            entity: (entity != PERSON).then(|| entity.to_owned()),
            elsewhere: HashMap::new(),
            universe: 0,
            attributes: HashMap::new(),
            events: HashMap::new(),
            segments: HashMap::new(),
            identifier_types: spi::rows_cached(
                &ws.sql("SELECT t.name, t.type_id::integer FROM @ws@.identifier_type t ORDER BY t.type_id"),
                &[],
                |row| Ok((spi::must(row, 1)?, spi::must(row, 2)?)),
            )?,
            parsed: RefCell::default(),
            plans: RefCell::default(),
        };
        for (name, of, attribute) in spi::rows_cached(
            &ws.sql(
                "SELECT a.name, a.type, a.expression, a.dictionary_id, c.column_id, c.encoding = 'set', c.scale, f.column_id, a.attribute_id, a.kind = 'tag', a.entity \
                 FROM @ws@.attribute a LEFT JOIN @ws@.store_column c ON c.attribute_id = a.attribute_id AND c.kind = 'attribute' AND c.state = 'ready' \
                 LEFT JOIN @ws@.store_column f ON f.attribute_id = a.attribute_id AND f.kind = 'forward' AND f.state = 'ready'",
            ),
            &[],
            |row| {
                let column = match row.get::<i32>(5)? {
                    Some(id) => Some((id, spi::must::<bool>(row, 6)?, unsigned(spi::must(row, 7)?)?)),
                    None => None,
                };
                let ty = type_of(&spi::must::<String>(row, 2)?)?;
                let dictionary_id = spi::must(row, 4)?;
                let attribute = Attribute { attribute_id: spi::must(row, 9)?, ty, tag: spi::must(row, 10)?, expression: row.get(3)?, dictionary_id, column, forward: row.get(8)? };
                Ok((spi::must::<String>(row, 1)?, spi::must::<String>(row, 11)?, attribute))
            },
        )? {
            if of == entity {
                catalog.attributes.insert(name, attribute);
            } else {
                catalog.elsewhere.insert(name, of);
            }
        }
        for (event, event_type_id, property) in spi::rows_cached(
            &ws.sql("SELECT t.name, t.event_type_id, p.name, p.property_id, p.type, p.dictionary_id FROM @ws@.event_type t LEFT JOIN @ws@.property p USING (event_type_id)"),
            &[],
            |row| {
                let property = match row.get::<String>(3)? {
                    Some(name) => Some((name, Property { property_id: spi::must(row, 4)?, ty: type_of(&spi::must::<String>(row, 5)?)?, dictionary_id: spi::must(row, 6)? })),
                    None => None,
                };
                Ok((spi::must::<String>(row, 1)?, spi::must::<i32>(row, 2)?, property))
            },
        )? {
            let event = catalog.events.entry(event).or_insert_with(|| Event { event_type_id, properties: HashMap::new(), days: HashMap::new() });
            event.properties.extend(property);
        }
        let by_id: HashMap<i32, String> =
            catalog.events.iter().map(|(name, event)| (event.event_type_id, name.clone())).collect();
        for (kind, column_id, event_type_id, key, scale, segment) in spi::rows_cached(
            &ws.sql(
                "SELECT c.kind, c.column_id, c.event_type_id, coalesce(c.property_id, 0), coalesce(c.measure_id, 0), c.scale, g.name, g.expression, g.segment_id \
                 FROM @ws@.store_column c LEFT JOIN @ws@.segment g USING (segment_id) WHERE c.kind NOT IN ('attribute', 'forward') AND c.state = 'ready'",
            ),
            &[],
            |row| {
                let segment = match row.get::<String>(7)? {
                    Some(name) => Some((name, row.get::<String>(8)?, spi::must::<i32>(row, 9)?)),
                    None => None,
                };
                let key = (spi::must::<i32>(row, 4)?, spi::must::<i32>(row, 5)?);
                Ok((spi::must::<String>(row, 1)?, spi::must::<i32>(row, 2)?, row.get::<i32>(3)?, key, unsigned(spi::must(row, 6)?)?, segment))
            },
        )? {
            match (kind.as_str(), event_type_id, segment) {
                ("universe", ..) => catalog.universe = column_id,
                ("day", Some(id), _) => {
                    if let Some(event) = by_id.get(&id).and_then(|name| catalog.events.get_mut(name)) {
                        event.days.insert(key, (column_id, scale));
                    }
                }
                ("segment", _, Some((name, expression, segment_id))) => {
                    catalog.segments.insert(name, Segment { segment_id, column_id, expression });
                }
                _ => {}
            }
        }
        Ok(catalog)
    }
}

/// The row versions a catalogue is read from; `None` when a table cannot be looked at directly.
fn versions(ws: &Workspace) -> Option<Vec<Version>> {
    let mut versions = Vec::new();
    for name in TABLES {
        let table = Table::open(&ws.name, name)?;
        table.versions(&mut versions);
        table.close();
    }
    Some(versions)
}

/// The last row of each dictionary; `None` when they cannot be looked at directly.
fn last_rows(ws: &Workspace, dictionaries: &[i32]) -> Option<Vec<(i32, Option<Version>)>> {
    if dictionaries.is_empty() {
        return Some(Vec::new());
    }
    let table = Table::open(&ws.name, "dictionary")?;
    let index = table.index("dictionary_pkey");
    let last = dictionaries.iter().map(|id| (*id, table.last(index, &[Condition::Int4Is(1, *id)]))).collect();
    table.close();
    Some(last)
}

/// The last row of a dictionary; `None` when it has none, or cannot be looked at directly.
pub(super) fn last_row(ws: &Workspace, dictionary_id: i32) -> Option<Version> {
    last_rows(ws, &[dictionary_id])?.pop()?.1
}

fn unsigned(scale: i32) -> Result<u32, CdpError> {
    u32::try_from(scale).map_err(|_| CdpError::internal("negative scale in the catalogue"))
}

impl check::Catalog for Catalog {
    fn attribute(&self, name: &str) -> Option<Type> {
        // How many people belong to a group is known without a tag.
        let members = || self.entity.as_ref().filter(|_| name == MEMBERS).map(|_| Type::Bigint);
        self.attributes.get(name).map(|a| a.ty).or_else(members)
    }
    fn has_event(&self, event: &str) -> bool {
        self.events.contains_key(event)
    }
    fn property(&self, event: &str, name: &str) -> Option<Type> {
        self.events.get(event)?.properties.get(name).map(|p| p.ty)
    }
    fn has_segment(&self, name: &str) -> bool {
        self.segments.contains_key(name)
    }
    fn attributes(&self) -> Vec<String> {
        self.attributes.keys().cloned().chain(self.entity.as_ref().map(|_| MEMBERS.to_owned())).collect()
    }
    fn events(&self) -> Vec<String> {
        self.events.keys().cloned().collect()
    }
    fn properties(&self, event: &str) -> Vec<String> {
        self.events.get(event).map(|e| e.properties.keys().cloned().collect()).unwrap_or_default()
    }
    fn identifier_types(&self) -> Vec<String> {
        self.identifier_types.iter().map(|(name, _)| name.clone()).collect()
    }
    fn segments(&self) -> Vec<String> {
        self.segments.keys().cloned().collect()
    }
    fn history(&self, attribute: &str) -> Option<i32> {
        // What is computed from an expression is computed as of then.
        self.attributes.get(attribute).filter(|a| a.expression.is_none()).map(|a| a.attribute_id)
    }
    fn entity(&self) -> Option<&str> {
        self.entity.as_deref()
    }
    fn elsewhere(&self, attribute: &str) -> Option<String> {
        self.elsewhere.get(attribute).cloned()
    }
}
