//! Programs that never end by themselves, each twice: once with little fuel, once with fuel for a day and no time.

use crate::animal::{Animal, DONE, MODEST, OUT_OF_FUEL, TRAP, code};
use crate::text::{command, forever, module};

pub fn animals() -> Vec<Animal> {
    let mut animals: Vec<Animal> = [plain(), bulk(), growing()].into_iter().flatten().flatten().collect();
    animals.extend(single_instructions());
    animals
}

/// Loops of ordinary instructions.
fn plain() -> Vec<[Animal; 2]> {
    let mutual = r#"
        (table 2 funcref) (elem (i32.const 0) $a $b) (type $f (func (param i32) (result i32)))
        (func $a (type $f) (i32.const 1)) (func $b (type $f) (i32.const 0))
        (func (export "_start") (local i32)
            (loop $more (local.set 0 (call_indirect (type $f) (i32.const 5) (local.get 0))) (br $more)))"#;
    vec![
        Animal::endless("loops/plain", command("(loop $more (br $more))")),
        Animal::endless(
            "loops/in the start function",
            module(
                r#"
            (func $first (loop $more (br $more))) (start $first) (func (export "_start"))"#,
            ),
        ),
        Animal::endless("loops/by br_table", command("(loop $more (br_table $more $more $more (local.get $i)))")),
        Animal::endless("loops/two functions that take turns in a table", module(mutual)),
        Animal::endless(
            "loops/divisions, which are slow",
            command(
                "(local.set $n (i64.const 1)) (loop $more
                (local.set $n (i64.div_u (i64.const -1) (i64.or (local.get $n) (i64.const 1)))) (br $more))",
            ),
        ),
        Animal::endless(
            "loops/square roots of NaN",
            command("(loop $more (drop (f64x2.sqrt (f64x2.splat (f64.const nan:0x4)))) (br $more))"),
        ),
        Animal::endless("loops/128 loops in one another", command(&nested(128))),
        Animal::endless(
            "loops/a long body without a loop in it",
            forever(&"(local.set $i (i32.add (local.get $i) (i32.const 1)))".repeat(5000)),
        ),
        Animal::endless(
            "loops/dead weight that costs nothing",
            forever(&"nop (block) (drop (i32.const 0))".repeat(5000)),
        ),
    ]
}

/// Loops whose body is one instruction that moves much: the fuel has to know how much.
fn bulk() -> Vec<[Animal; 2]> {
    let memory = |name: &str, bulk: &str| {
        let text = module(&format!(
            r#"
            (memory 1024) (data $d "data") (func (export "_start") (loop $more ({bulk}) (br $more)))"#
        ));
        Animal::endless(&format!("loops/{name}"), text).map(|animal| animal.with(|limits| limits.memory = 64 << 20))
    };
    let table = |name: &str, bulk: &str| {
        let text = module(&format!(
            r#"
            (table $t 131072 funcref) (elem $e func $f) (func $f)
            (func (export "_start") (loop $more ({bulk}) (br $more)))"#
        ));
        Animal::endless(&format!("loops/{name}"), text)
    };
    vec![
        memory("memory.fill of 64 MiB", "memory.fill (i32.const 0) (i32.const 1) (i32.const 0x4000000)"),
        memory("memory.fill of nothing", "memory.fill (i32.const 0) (i32.const 1) (i32.const 0)"),
        memory("memory.copy of nothing", "memory.copy (i32.const 1) (i32.const 0) (i32.const 0)"),
        memory("memory.copy of 64 MiB onto itself", "memory.copy (i32.const 1) (i32.const 0) (i32.const 0x3ffffff)"),
        memory("memory.init of 4 bytes", "memory.init $d (i32.const 0) (i32.const 0) (i32.const 4)"),
        memory("data.drop again and again", "data.drop $d"),
        table("table.fill of all elements", "table.fill $t (i32.const 0) (ref.func $f) (i32.const 131072)"),
        table("table.copy of all elements", "table.copy (i32.const 1) (i32.const 0) (i32.const 131071)"),
        table("table.init of one element", "table.init $t $e (i32.const 0) (i32.const 0) (i32.const 1)"),
    ]
}

/// Loops that ask for room, which they get never, or only in name.
fn growing() -> Vec<[Animal; 2]> {
    let table = |amount: &str| {
        module(&format!(
            r#"
            (table $t 1 funcref)
            (func (export "_start") (loop $more (drop (table.grow $t (ref.null func) (i32.const {amount}))) (br $more)))"#
        ))
    };
    vec![
        Animal::endless("loops/memory.grow by all there is, denied", forever("(drop (memory.grow (i32.const 65535)))")),
        Animal::endless("loops/memory.grow by nothing", forever("(drop (memory.grow (i32.const 0)))")),
        Animal::endless(
            "loops/memory.grow by a page, denied at some time",
            forever("(drop (memory.grow (i32.const 1)))"),
        ),
        Animal::endless("loops/table.grow by one element, denied at some time", table("1")),
    ]
}

/// No loop at all, but one instruction that asks for four billion steps.
fn single_instructions() -> Vec<Animal> {
    let fill = "(memory.fill (i32.const 0) (i32.const 1) (i32.const -1))";
    let grow = "(drop (memory.grow (i32.const -1)))";
    let grown = "(call $proc_exit (memory.grow (i32.const -1)))";
    vec![
        // Charged before it is looked at: what it would cost decides, though it would trap.
        Animal::text("loops/memory.grow by 2^32-1 pages, again and again", forever(grow), OUT_OF_FUEL).with(rich),
        Animal::text("loops/one memory.fill beyond fuel and memory", command(fill), OUT_OF_FUEL),
        Animal::text("loops/one memory.fill beyond memory", command(fill), TRAP).with(rich),
        Animal::text("loops/one memory.grow beyond fuel", command(grown), OUT_OF_FUEL),
        Animal::text("loops/one memory.grow beyond memory", command(grown), code(-1)).with(rich),
        Animal::text(
            "loops/a loop that ends in time",
            command(
                "(loop $more (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1000000))))",
            ),
            DONE,
        ),
    ]
}

fn rich(limits: &mut pocketmesh_types::job::TaskLimits) {
    limits.fuel.0 = MODEST.fuel.0 << 20;
}

fn nested(depth: usize) -> String {
    let (open, close) = ("(loop ".repeat(depth), "(br 0))".to_owned() + &")".repeat(depth - 1));
    open + &close
}
