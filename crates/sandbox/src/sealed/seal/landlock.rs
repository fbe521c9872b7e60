//! Landlock: no file, no folder, no socket, no signal to anybody outside, by the kernel's own rules on objects.
//!
//! Where the filter of system calls asks *which call*, this asks *which thing*, so it still holds if a call slips through.

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, LandlockStatus, Ruleset, RulesetAttr as _, RulesetStatus, Scope,
};

/// The newest that we know. What the kernel lacks of it is left out.
const NEWEST: ABI = ABI::V10;

/// Handles every right and grants none. The version that is in force, or `None`.
pub(super) fn shut_out() -> Option<u8> {
    let ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))
        .and_then(|ruleset| ruleset.handle_access(AccessNet::from_all(NEWEST)))
        .and_then(|ruleset| ruleset.scope(Scope::from_all(NEWEST)));
    let status = ruleset.and_then(Ruleset::create).and_then(|created| created.restrict_self()).ok()?;
    match (status.ruleset, status.landlock) {
        (RulesetStatus::NotEnforced, _) => None,
        (_, LandlockStatus::Available { effective_abi, .. }) => u8::try_from(effective_abi as i32).ok(),
        _ => None,
    }
}
