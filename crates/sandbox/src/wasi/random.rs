//! Randomness that everybody can repeat: ChaCha20, keyed by the task's seed.

use super::MODULE;
use super::guest::{BYTE_FUEL, call};
use super::host::Host;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use wasmtime::{Caller, Linker};

pub(super) fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    linker.func_wrap(MODULE, "random_get", |caller: Caller<'_, Host>, at: u32, len: u32| {
        call(caller, |guest| {
            let range = guest.range(at, len)?;
            guest.charge(u64::from(len) * BYTE_FUEL)?;
            let (memory, host) = guest.split()?;
            host.dice.fill(&mut memory[range]);
            Ok(())
        })
    })?;
    Ok(())
}

/// The task's random numbers.
pub(super) struct Dice(ChaCha20Rng);

impl Dice {
    pub(super) fn new(seed: [u8; 32]) -> Self {
        Self(ChaCha20Rng::from_seed(seed))
    }

    /// The next bytes of the key stream. A call takes whole 32-bit words: what it leaves of its last one is lost.
    fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_stream_is_that_of_chacha20() {
        // The first key stream of RFC 7539, appendix A.1, test vector 1: all-zero key and nonce, counter 0.
        let mut bytes = [0; 8];
        Dice::new([0; 32]).fill(&mut bytes);
        assert_eq!(bytes, [0x76, 0xb8, 0xe0, 0xad, 0xa0, 0xf1, 0x3d, 0x90]);
    }

    #[test]
    fn a_call_takes_whole_words() {
        let (mut whole, mut parts) = ([0; 12], [0; 12]);
        Dice::new([7; 32]).fill(&mut whole);
        let mut dice = Dice::new([7; 32]);
        dice.fill(&mut parts[..3]);
        dice.fill(&mut parts[4..]);
        assert_eq!((&parts[..3], &parts[4..]), (&whole[..3], &whole[4..]));
    }
}
