//! The containers of a shard in every form that an evaluation meets them in: nothing, everything, stored, flat.

use crate::common::shapes::{Shape, bitmap_bytes, shape};
use pg_cdp_core::bitmap::{Arena, Block, Container, Portable, Value};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// One container as bytes, and whether it is to be spread into a flat block.
struct Operand {
    members: BTreeSet<u16>,
    bytes: Vec<u8>,
    flat: bool,
}

impl Operand {
    fn new(shape: &Option<Shape>, (runs, flat): (bool, bool)) -> Self {
        let members = shape.as_ref().map(Shape::members).unwrap_or_default();
        let bytes = bitmap_bytes(&members.iter().map(|member| u32::from(*member)).collect(), runs);
        Self { members, bytes, flat }
    }

    fn container(&self) -> Option<Container<'_>> {
        Portable::open(&self.bytes).unwrap().get(0).unwrap()
    }

    fn value(&self, arena: &mut Arena) -> Value<'_> {
        let value = Value::stored(self.container());
        if self.flat && !value.is_empty() { Value::Flat(value.into_block(arena)) } else { value }
    }

    fn block(&self) -> Block {
        let mut block = Block::new();
        self.members.iter().for_each(|member| block.insert(*member));
        block
    }
}

fn list(value: Value<'_>, arena: &mut Arena) -> Vec<u16> {
    let block = value.into_block(arena);
    let members = block.iter().collect();
    arena.give(block);
    members
}

fn operand() -> impl Strategy<Value = (Option<Shape>, (bool, bool))> {
    (prop_oneof![1 => Just(None), 9 => shape().prop_map(Some)], any::<(bool, bool)>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_container_is_read_as_it_was_written((shape, form) in operand()) {
        let operand = Operand::new(&shape, form);
        let count = operand.members.len();
        prop_assert_eq!(operand.container().is_some(), count > 0);
        match operand.container() {
            Some(Container::Array(members)) => prop_assert!(members.len() == count && count <= 4096),
            Some(Container::Bitmap(_)) => prop_assert!(count > 4096),
            Some(Container::Run(runs)) => prop_assert!(runs.len() <= count && form.0),
            None => {}
        }
        let arena = &mut Arena::new();
        let value = operand.value(arena);
        prop_assert_eq!(value.count() as usize, count);
        prop_assert_eq!(value.is_empty(), count == 0);
        prop_assert!(list(value, arena).into_iter().eq(operand.members.iter().copied()));
    }

    #[test]
    fn values_are_plain_sets((a, f) in operand(), (b, g) in operand()) {
        let (a, b) = (Operand::new(&a, f), Operand::new(&b, g));
        let arena = &mut Arena::new();
        macro_rules! pair { () => { (a.value(arena), b.value(arena)) } }
        let (x, y) = pair!();
        prop_assert_eq!(x.and_count(&y, arena) as usize, a.members.intersection(&b.members).count());
        prop_assert_eq!(y.and_count(&x, arena) as usize, a.members.intersection(&b.members).count());
        let both = x.and(y, arena);
        prop_assert_eq!(both.is_empty(), a.members.is_disjoint(&b.members));
        prop_assert!(list(both, arena).iter().eq(a.members.intersection(&b.members)));
        let (x, y) = pair!();
        prop_assert!(list(x.or(y, arena), arena).iter().eq(a.members.union(&b.members)));
        let (x, y) = pair!();
        let left = x.andnot(y, arena);
        prop_assert_eq!(left.count() as usize, a.members.difference(&b.members).count());
        prop_assert!(list(left, arena).iter().eq(a.members.difference(&b.members)));
    }

    #[test]
    fn laws_of_values((a, f) in operand(), (b, g) in operand(), (c, h) in operand()) {
        let (a, b, c) = (Operand::new(&a, f), Operand::new(&b, g), Operand::new(&c, h));
        let mut arena = Arena::new();
        let arena = &mut arena;
        // Each side is a function of fresh values: values are used up.
        macro_rules! law {
            ($left:expr, $right:expr, $what:literal) => {{
                let left = { let value = $left; list(value, arena) };
                let right = { let value = $right; list(value, arena) };
                prop_assert!(left == right, "{}: {} and {} members", $what, left.len(), right.len());
            }};
        }
        macro_rules! v { ($x:ident) => { $x.value(arena) }; }
        macro_rules! and { ($x:expr, $y:expr) => {{ let (x, y) = ($x, $y); x.and(y, arena) }}; }
        macro_rules! or { ($x:expr, $y:expr) => {{ let (x, y) = ($x, $y); x.or(y, arena) }}; }
        macro_rules! less { ($x:expr, $y:expr) => {{ let (x, y) = ($x, $y); x.andnot(y, arena) }}; }
        macro_rules! not { ($x:expr) => {{ let x = $x; Value::Full.andnot(x, arena) }}; }
        law!(and!(v!(a), v!(b)), and!(v!(b), v!(a)), "and commutes");
        law!(or!(v!(a), v!(b)), or!(v!(b), v!(a)), "or commutes");
        law!(and!(and!(v!(a), v!(b)), v!(c)), and!(v!(a), and!(v!(b), v!(c))), "and is associative");
        law!(or!(or!(v!(a), v!(b)), v!(c)), or!(v!(a), or!(v!(b), v!(c))), "or is associative");
        law!(and!(v!(a), or!(v!(b), v!(c))), or!(and!(v!(a), v!(b)), and!(v!(a), v!(c))), "and distributes over or");
        law!(or!(v!(a), and!(v!(b), v!(c))), and!(or!(v!(a), v!(b)), or!(v!(a), v!(c))), "or distributes over and");
        law!(and!(v!(a), or!(v!(a), v!(b))), v!(a), "absorption");
        law!(or!(v!(a), and!(v!(a), v!(b))), v!(a), "absorption");
        law!(and!(v!(a), v!(a)), v!(a), "and is idempotent");
        law!(or!(v!(a), v!(a)), v!(a), "or is idempotent");
        law!(not!(or!(v!(a), v!(b))), and!(not!(v!(a)), not!(v!(b))), "De Morgan");
        law!(not!(and!(v!(a), v!(b))), or!(not!(v!(a)), not!(v!(b))), "De Morgan");
        law!(less!(v!(a), v!(b)), and!(v!(a), not!(v!(b))), "difference is and not");
        law!(not!(not!(v!(a))), v!(a), "double complement");
        law!(less!(v!(a), v!(a)), Value::Empty, "nothing is left of a set without itself");
        let (x, y) = (v!(a), v!(b));
        let both = x.and_count(&y, arena);
        prop_assert_eq!(x.count() + y.count(), or!(x, y).count() + both, "inclusion and exclusion");
    }

    #[test]
    fn blocks_are_plain_sets((a, f) in operand(), (b, g) in operand()) {
        let (a, b) = (Operand::new(&a, f), Operand::new(&b, g));
        let (x, y) = (a.block(), b.block());
        let mut or = x.clone();
        or.or_block(&y);
        prop_assert!(or.iter().eq(a.members.union(&b.members).copied()));
        prop_assert_eq!(or.is_full(), a.members.union(&b.members).count() == 1 << 16);
        let mut and = x.clone();
        prop_assert_eq!(and.and_block(&y), !a.members.is_disjoint(&b.members));
        prop_assert!(and.iter().eq(a.members.intersection(&b.members).copied()));
        let mut less = x.clone();
        prop_assert_eq!(less.andnot_block(&y), !a.members.is_subset(&b.members));
        prop_assert!(less.iter().eq(a.members.difference(&b.members).copied()));
        prop_assert_eq!(x.count() + y.count(), or.count() + and.count());
        prop_assert_eq!(x.count(), and.count() + less.count());
        // The same with the second still in its bytes.
        if let Some(container) = b.container() {
            let (mut o, mut n, mut d) = (x.clone(), x.clone(), x);
            o.or_container(container);
            prop_assert_eq!(n.and_container(container), !and.is_empty());
            prop_assert_eq!(d.andnot_container(container), !less.is_empty());
            prop_assert!(o == or && n == and && d == less);
        }
    }
}
