//! Small modules that are dear to compile: compiled or given up in time, and the daemon notices neither.
//!
//! Here are bodies that are hard on a compiler's algorithms; `counts` has modules with very many of something.

use crate::animal::{Animal, DONE, Expect, INVALID, MODEST};
use crate::made::{Parts, command};
use wasm_encoder::{BlockType, InstructionSink, MemArg, MemArgTarget, ValType};

pub fn animals() -> Vec<Animal> {
    [branches(), values(), thousands(), chains(), sizes()].into_iter().flatten().collect()
}

fn bomb(name: &str, make: fn() -> Vec<u8>) -> Animal {
    Animal::made(&format!("bombs/shape: {name}"), make, Expect::UnlessTooDear(DONE))
        .with(|limits| limits.fuel.0 = MODEST.fuel.0 << 10)
}

fn refused(name: &str, make: fn() -> Vec<u8>) -> Animal {
    Animal::made(&format!("bombs/shape: {name}"), make, Expect::Always(INVALID))
}

/// A command with one function of these locals.
fn body(locals: &[(u32, ValType)], write: impl FnOnce(&mut InstructionSink<'_>)) -> Vec<u8> {
    command(Parts::default(), locals, write)
}

/// Blocks and the ways between them.
fn branches() -> Vec<Animal> {
    vec![
        bomb("a megabyte of br_table", || {
            body(&[], |code| {
                for _ in 0..16 {
                    code.block(BlockType::Empty).block(BlockType::Empty);
                    code.i32_const(1).br_table((0..65_520).map(|target| target % 2), 0).end().end();
                }
            })
        }),
        refused("a br_table of a million targets", || {
            body(&[], |code| {
                code.block(BlockType::Empty).i32_const(1).br_table(vec![0; 1_000_000], 0).end();
            })
        }),
        bomb("65,536 blocks in one another", || {
            body(&[], |code| {
                nest(code, 65_536, |code| {
                    code.block(BlockType::Empty);
                })
            })
        }),
        bomb("65,536 loops in one another", || {
            body(&[], |code| {
                nest(code, 65_536, |code| {
                    code.loop_(BlockType::Empty);
                })
            })
        }),
        bomb("20,000 ifs in one another", || {
            body(&[(1, ValType::I32)], |code| {
                nest(code, 20_000, |code| {
                    code.local_get(0).if_(BlockType::Empty);
                })
            })
        }),
        bomb("20,000 ifs and elses in a row", || {
            body(&[(1, ValType::I32)], |code| {
                for number in 0..20_000 {
                    code.local_get(0)
                        .if_(BlockType::Empty)
                        .i32_const(number)
                        .local_set(0)
                        .else_()
                        .i32_const(-number)
                        .local_set(0)
                        .end();
                }
            })
        }),
        bomb("a branch out of each of 5,000 blocks to every one", || {
            body(&[(1, ValType::I32)], |code| {
                nest(code, 5000, |code| {
                    code.block(BlockType::Empty);
                });
                (0..5000).for_each(|_| {
                    code.block(BlockType::Empty);
                });
                for _ in 0..10 {
                    code.local_get(0).br_table(0..5000, 0);
                }
                (0..5000).for_each(|_| {
                    code.end();
                });
            })
        }),
    ]
}

/// Many values that live at the same time, and many ways that each has to take.
fn values() -> Vec<Animal> {
    vec![
        bomb("50,000 locals in each of 100 functions", || {
            let parts = Parts { functions: 100, locals: 50_000, ..Parts::default() };
            command(parts, &[], |_| {})
        }),
        bomb("1,000 locals that change in each of 1,000 nested loops", || {
            body(&[(1000, ValType::I32)], |code| {
                (0..1000).for_each(|_| {
                    code.loop_(BlockType::Empty);
                });
                for local in 0..1000 {
                    code.local_get(local).i32_const(1).i32_add().local_set(local);
                }
                for _ in 0..1000 {
                    code.local_get(0).br_if(0).end();
                }
            })
        }),
        bomb("50,000 locals that change in each of 200 loops", || {
            body(&[(50_000, ValType::I32)], |code| {
                for number in 0..200 {
                    code.loop_(BlockType::Empty);
                    for local in (number % 7..50_000).step_by(50) {
                        code.local_get(local).i32_const(1).i32_add().local_set(local);
                    }
                    code.local_get(0).br_if(0).end();
                }
            })
        }),
        bomb("20,000 values on the stack", || {
            body(&[(1, ValType::I64)], |code| {
                for _ in 0..20_000 {
                    code.local_get(0).i64_const(3).i64_mul().local_tee(0);
                }
                (0..19_999).for_each(|_| {
                    code.i64_xor();
                });
                code.drop();
            })
        }),
    ]
}

/// Functions and blocks with a thousand results or arguments.
fn thousands() -> Vec<Animal> {
    vec![
        bomb("1,000 results along each of 2,000 branches", || thousand_results(2000)),
        bomb("1,000 results along each of 200,000 branches", || thousand_results(200_000)),
        bomb("1,000 results to each of 1,000 targets of a br_table", || {
            let parts = Parts { results: 1000, ..Parts::default() };
            command(parts, &[(1, ValType::I32)], |code| {
                let results = BlockType::FunctionType(1);
                (0..1000).for_each(|_| {
                    code.block(results);
                });
                (0..1000).for_each(|number| {
                    code.i32_const(number);
                });
                code.local_get(0).br_table(0..1000, 0);
                (0..1000).for_each(|_| {
                    code.end();
                });
                (0..1000).for_each(|_| {
                    code.drop();
                });
            })
        }),
        bomb("a call with 1,000 arguments, 1,000 times", || {
            let parts = Parts { functions: 1, parameters: 1000, ..Parts::default() };
            command(parts, &[(1, ValType::I32)], |code| {
                for _ in 0..1000 {
                    (0..1000).for_each(|_| {
                        code.local_get(0);
                    });
                    code.call(1);
                }
            })
        }),
    ]
}

fn thousand_results(branches: u32) -> Vec<u8> {
    let parts = Parts { results: 1000, ..Parts::default() };
    command(parts, &[(1, ValType::I32)], |code| {
        code.block(BlockType::FunctionType(1));
        (0..1000).for_each(|number| {
            code.i32_const(number);
        });
        (0..branches).for_each(|_| {
            code.local_get(0).br_if(0);
        });
        code.end();
        (0..1000).for_each(|_| {
            code.drop();
        });
    })
}

/// Long chains, each link of which needs the one before.
fn chains() -> Vec<Animal> {
    vec![
        bomb("a sum of 500,000 terms", || {
            body(&[(1, ValType::I64)], |code| {
                code.local_get(0);
                for number in 0..500_000 {
                    code.i64_const(number).i64_add();
                }
                code.drop();
            })
        }),
        bomb("a sum of 100,000 terms, from the inside out", || {
            body(&[(1, ValType::I32)], |code| {
                (0..100_000).for_each(|_| {
                    code.local_get(0);
                });
                (0..99_999).for_each(|_| {
                    code.i32_add();
                });
                code.drop();
            })
        }),
        bomb("100,000 divisions, each of the one before", || {
            body(&[(1, ValType::I64)], |code| {
                for _ in 0..100_000 {
                    code.i64_const(-1).local_get(0).i64_div_s().local_set(0);
                }
            })
        }),
        bomb("100,000 selections between vectors", || {
            body(&[(1, ValType::I32), (2, ValType::V128)], |code| {
                for _ in 0..100_000 {
                    code.local_get(1).local_get(2).i8x16_swizzle().local_get(1).local_get(0).select().local_set(1);
                }
            })
        }),
        bomb("100,000 products of vectors", || {
            body(&[(2, ValType::V128)], |code| {
                for _ in 0..100_000 {
                    code.local_get(0).local_get(1).i64x2_mul().local_get(1).i16x8_q15mulr_sat_s().local_set(0);
                }
            })
        }),
        bomb("100,000 loads and stores", || {
            let parts = Parts { pages: 1, ..Parts::default() };
            command(parts, &[(1, ValType::I32)], |code| {
                for number in 0..100_000 {
                    let at =
                        MemArg { offset: number % 60_000, align: 0, target: MemArgTarget::Memory(0), ordering: None };
                    code.local_get(0).local_get(0).i64_load(at).i64_store(at);
                }
            })
        }),
    ]
}

/// Functions that are long and nothing else.
fn sizes() -> Vec<Animal> {
    vec![
        bomb("a million nops", || {
            body(&[], |code| {
                (0..1_000_000).for_each(|_| {
                    code.nop();
                })
            })
        }),
        bomb("a million instructions behind unreachable", || {
            body(&[], |code| {
                code.unreachable();
                (0..1_000_000).for_each(|_| {
                    code.i32_add();
                });
                code.drop();
            })
        }),
        bomb("a function of 4 MB", || long(1_000_000)),
        bomb("a function of 7 MB, next to the largest there may be", || long(1_750_000)),
        refused("a function of 8 MB", || long(2_000_000)),
    ]
}

/// About four bytes each.
fn long(instructions: u32) -> Vec<u8> {
    body(&[(2, ValType::I32)], |code| {
        for _ in 0..instructions / 2 {
            code.local_get(0).local_get(0).i32_mul().local_set(0).nop();
        }
    })
}

fn nest(code: &mut InstructionSink<'_>, depth: usize, open: impl Fn(&mut InstructionSink<'_>)) {
    (0..depth).for_each(|_| open(code));
    (0..depth).for_each(|_| {
        code.end();
    });
}
