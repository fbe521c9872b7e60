//! What the parent tells its child.
//!
//! The parent is the daemon, so the child believes what it is told; it still bounds and checks every message, because a
//! child that misreads would compute nonsense in somebody's name.

use super::frame::{BULK_BYTES_MAX, Fields, HEAD_BYTES_MAX, HEADER_BYTES, Head, Header, Malformed};
use crate::cache::Needs;
use crate::profile::Backend;
use crate::task::Task;
use pocketmesh_types::job::TaskLimits;
use pocketmesh_types::{BlobId, Fuel, Tree, UnixTime};
use std::io::{self, Read};
use std::sync::Arc;

/// The kinds of frame.
pub(super) mod kind {
    pub(in crate::sealed) const START: u8 = 1;
    pub(in crate::sealed) const COMPILE: u8 = 2;
    pub(in crate::sealed) const PROGRAM: u8 = 3;
    pub(in crate::sealed) const TREE: u8 = 4;
    pub(in crate::sealed) const FILE: u8 = 5;
    pub(in crate::sealed) const FORGET: u8 = 6;
    pub(in crate::sealed) const TASK: u8 = 7;
    pub(in crate::sealed) const RUN: u8 = 8;
}

/// More than the numbers of a task take.
const TASK_FIELDS_BYTES: usize = 256;

/// What a child is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Runs tasks, one at a time, until it is told no more.
    Runner,
    /// Compiles one program.
    Compiler,
}

/// The first message, and the only one that is read before the seals are on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) role: Role,
    pub(super) backend: Backend,
    /// Whether addresses are scarce: see [`Config::scarce_address_space`](crate::Config::scarce_address_space).
    pub(super) scarce_address_space: bool,
    /// Whose child it is.
    pub(super) parent: u32,
    /// Memory that it may write to, in bytes.
    pub(super) data_bytes: u64,
    /// Processor time, in seconds; 0 is any.
    pub(super) cpu_s: u64,
}

impl Start {
    pub(super) fn encode(&self) -> Head {
        Head::default()
            .u8(u8::from(self.role == Role::Compiler))
            .u8(u8::from(self.backend == Backend::Pulley))
            .u8(u8::from(self.scarce_address_space))
            .u32(self.parent)
            .u64(self.data_bytes)
            .u64(self.cpu_s)
    }

    fn decode(mut fields: Fields<'_>) -> Result<Self, Malformed> {
        let start = Self {
            role: if fields.bool()? { Role::Compiler } else { Role::Runner },
            backend: if fields.bool()? { Backend::Pulley } else { Backend::Cranelift },
            scarce_address_space: fields.bool()?,
            parent: fields.u32()?,
            data_bytes: fields.u64()?,
            cpu_s: fields.u64()?,
        };
        fields.end()?;
        Ok(start)
    }
}

/// A compiled program and its number. The bulk is its code.
pub(super) fn encode_program(number: u64, id: BlobId, needs: Needs) -> Head {
    Head::default().u64(number).array(id.as_bytes()).u64(needs.memory)
}

/// A tree and its number. Its files follow, in its order, as bulks of their own.
pub(super) fn encode_tree(number: u64, tree: &Tree) -> Head {
    Head::default().u64(number).text(&tree.to_text())
}

pub(super) fn encode_forget(number: u64) -> Head {
    Head::default().u64(number)
}

/// A task of the next batch. The bulk is its standard input.
pub(super) fn encode_task(sequence: u64, program: u64, tree: u64, task: &Task) -> Head {
    let mut head = Head::default().u64(sequence).u64(program).u64(tree).text(&task.name);
    head = head.u32(task.args.len() as u32);
    head = task.args.iter().fold(head, |head, arg| head.text(arg));
    head = head.u32(task.env.len() as u32);
    head = task.env.iter().fold(head, |head, (key, value)| head.text(key).text(value));
    let TaskLimits { fuel, memory, output, wall_ms } = task.limits;
    head = head.text(&task.input_name).u64(fuel.0).u64(memory).u64(output).u64(wall_ms);
    head.u64(task.epoch.0).array(&task.seed)
}

/// Whether a task fits into a message.
pub(super) fn can_carry(task: &Task) -> bool {
    let args = task.args.iter().map(String::len);
    let env = task.env.iter().map(|(key, value)| key.len() + value.len());
    let count = task.args.len() + 2 * task.env.len();
    let text: usize = args.chain(env).sum::<usize>() + task.name.len() + task.input_name.len();
    text + count * size_of::<u32>() <= HEAD_BYTES_MAX - TASK_FIELDS_BYTES && task.stdin.len() <= BULK_BYTES_MAX as u64
}

/// A task as the child gets it: program and files by their numbers.
pub(super) struct Assigned {
    pub(super) sequence: u64,
    pub(super) program: u64,
    pub(super) tree: u64,
    pub(super) task: Task,
}

/// A message of the parent.
pub(super) enum Request {
    Start(Start),
    Compile(Vec<u8>),
    Program { number: u64, id: BlobId, needs: Needs, code: Vec<u8> },
    Tree { number: u64, tree: Tree },
    File(Arc<[u8]>),
    Forget(u64),
    Task(Box<Assigned>),
    Run,
}

impl Request {
    /// The next message; `None` where the parent has closed its end.
    pub(super) fn read(from: &mut impl Read) -> io::Result<Option<Self>> {
        let mut header = [0; HEADER_BYTES];
        if from.read(&mut header[..1])? == 0 {
            return Ok(None);
        }
        from.read_exact(&mut header[1..])?;
        let header = Header::decode(header, BULK_BYTES_MAX).map_err(io::Error::other)?;
        let head = read_vec(from, header.head)?;
        if header.kind == kind::FILE {
            return Ok(Some(Self::File(read_shared(from, header.bulk)?)));
        }
        let bulk = read_vec(from, header.bulk)?;
        Self::decode(header.kind, &head, bulk).map(Some).map_err(io::Error::other)
    }

    fn decode(kind: u8, head: &[u8], bulk: Vec<u8>) -> Result<Self, Malformed> {
        let mut fields = Fields(head);
        let request = match kind {
            kind::START => return Start::decode(fields).map(Self::Start),
            kind::TASK => return decode_task(fields, bulk).map(Box::new).map(Self::Task),
            kind::COMPILE => Self::Compile(bulk),
            kind::PROGRAM => {
                let (number, id) = (fields.u64()?, fields.array()?);
                let needs = Needs { memory: fields.u64()? };
                Self::Program { number, id: BlobId(pocketmesh_types::Hash(id)), needs, code: bulk }
            }
            kind::TREE => {
                let (number, text) = (fields.u64()?, fields.text(HEAD_BYTES_MAX)?);
                Self::Tree { number, tree: Tree::from_text(text).map_err(|_| Malformed)? }
            }
            kind::FORGET => Self::Forget(fields.u64()?),
            kind::RUN => Self::Run,
            _ => return Err(Malformed),
        };
        fields.end()?;
        Ok(request)
    }
}

fn decode_task(mut fields: Fields<'_>, stdin: Vec<u8>) -> Result<Assigned, Malformed> {
    let (sequence, program, tree) = (fields.u64()?, fields.u64()?, fields.u64()?);
    let text = |fields: &mut Fields<'_>| fields.text(HEAD_BYTES_MAX).map(str::to_owned);
    let name = text(&mut fields)?;
    let args = (0..fields.count(4)?).map(|_| text(&mut fields)).collect::<Result<_, _>>()?;
    let env = (0..fields.count(8)?).map(|_| Ok((text(&mut fields)?, text(&mut fields)?))).collect::<Result<_, _>>()?;
    let input_name = text(&mut fields)?;
    let limits =
        TaskLimits { fuel: Fuel(fields.u64()?), memory: fields.u64()?, output: fields.u64()?, wall_ms: fields.u64()? };
    let (epoch, seed) = (UnixTime(fields.u64()?), fields.array()?);
    fields.end()?;
    let (program_id, files) = (BlobId::default(), Arc::default());
    let task =
        Task { program: program_id, name, args, env, stdin: stdin.into(), files, input_name, limits, epoch, seed };
    Ok(Assigned { sequence, program, tree, task })
}

fn read_vec(from: &mut impl Read, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// The same for what will be shared, without a copy in between.
fn read_shared(from: &mut impl Read, len: usize) -> io::Result<Arc<[u8]>> {
    let mut bytes: Arc<[u8]> = std::iter::repeat_n(0, len).collect();
    let unshared = Arc::get_mut(&mut bytes).expect("nobody else has it yet");
    from.read_exact(unshared)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::frame::Outgoing;
    use super::*;

    fn read(kind: u8, head: &Head, bulk: &[u8]) -> io::Result<Option<Request>> {
        let mut outgoing = Outgoing::default();
        outgoing.push(kind, head, bulk).expect("small");
        Request::read(&mut outgoing.0.as_slice())
    }

    fn task() -> Task {
        Task {
            program: BlobId::default(),
            name: "p".into(),
            args: vec!["a".into(), String::new()],
            env: vec![("K".into(), "v".into())],
            stdin: b"in".to_vec().into(),
            files: Arc::default(),
            input_name: "i".into(),
            limits: TaskLimits { fuel: Fuel(1), memory: 2, output: 3, wall_ms: 4 },
            epoch: UnixTime(5),
            seed: [6; 32],
        }
    }

    #[test]
    fn a_task_comes_through_whole() {
        let sent = task();
        let Ok(Some(Request::Task(got))) = read(kind::TASK, &encode_task(7, 8, 9, &sent), b"in") else {
            panic!("a task");
        };
        assert_eq!((got.sequence, got.program, got.tree), (7, 8, 9));
        assert_eq!(format!("{:?}", got.task), format!("{sent:?}"));
    }

    #[test]
    fn a_start_comes_through_whole() {
        let (role, backend) = (Role::Compiler, Backend::Pulley);
        let sent = Start { role, backend, scarce_address_space: true, parent: 1, data_bytes: 2, cpu_s: 3 };
        let Ok(Some(Request::Start(got))) = read(kind::START, &sent.encode(), b"") else { panic!("a start") };
        assert_eq!(got, sent);
    }

    #[test]
    fn a_closed_pipe_is_the_end_and_half_a_message_is_an_error() {
        assert!(Request::read(&mut [].as_slice()).is_ok_and(|request| request.is_none()));
        assert!(Request::read(&mut [kind::RUN, 0, 0].as_slice()).is_err());
        assert!(read(99, &Head::default(), b"").is_err());
        assert!(read(kind::RUN, &Head::default().u8(0), b"").is_err());
    }
}
