//! What the rules need to know of one Rust file: its tokens, its comments and the extent of its functions and tests.
//!
//! The file is lexed and parsed, not searched as text, so that a word inside a string is not taken for code and a
//! macro's body is seen too. Only plain data leaves this module: spans are valid on the thread that made them alone.

use std::ops::{Range, RangeInclusive};

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// A token and the line it begins on.
#[derive(Clone, Debug)]
pub struct Token {
    /// As written; a string literal keeps its quotes.
    pub text: String,
    /// Counted from 1.
    pub line: usize,
}

/// A comment, doc comments included.
#[derive(Clone, Debug)]
pub struct Comment {
    /// As written, slashes included.
    pub text: String,
    /// The line it begins on, counted from 1.
    pub line: usize,
}

/// A function, method or provided trait method.
#[derive(Clone, Debug)]
pub struct Function {
    /// `name`, or `Type::name` inside an `impl` or a trait.
    pub name: String,
    /// The line of its signature, counted from 1.
    pub line: usize,
    /// From signature to closing brace, both counted.
    pub lines: usize,
}

/// The facts about one file.
#[derive(Clone, Debug)]
pub struct Outline {
    /// From the root of the repository, with `/` between the parts.
    pub path: String,
    /// How many lines the file has.
    pub lines: usize,
    /// All tokens in order, delimiters included.
    pub tokens: Vec<Token>,
    /// All comments in order.
    pub comments: Vec<Comment>,
    /// All functions in order of appearance.
    pub functions: Vec<Function>,
    /// The lines of top-level `#[cfg(test)]` modules.
    pub test_modules: Vec<RangeInclusive<usize>>,
}

/// Why a file has no outline.
#[derive(Debug, thiserror::Error)]
#[error("{path}:{line}: not valid Rust: {reason}")]
pub struct ParseError {
    /// The file.
    pub path: String,
    /// Counted from 1.
    pub line: usize,
    /// What the parser said.
    pub reason: String,
}

impl Outline {
    /// Reads the outline of `text`.
    ///
    /// # Errors
    /// If `text` is not a complete Rust file.
    pub fn of(path: &str, text: &str) -> Result<Self, ParseError> {
        let failed = |error: syn::Error| ParseError {
            path: path.to_owned(),
            line: error.span().start().line,
            reason: error.to_string(),
        };
        let stream: TokenStream = text.parse().map_err(|error| failed(syn::Error::from(error)))?;
        let mut lexed = Vec::new();
        flatten(stream.clone(), &mut lexed);
        let file: syn::File = syn::parse2(stream).map_err(failed)?;
        let mut functions = FunctionVisitor::default();
        functions.visit_file(&file);
        let (tokens, comments) = split_comments(text, &lexed);
        Ok(Self {
            path: path.to_owned(),
            lines: text.lines().count(),
            tokens,
            comments,
            functions: functions.found,
            test_modules: file.items.iter().filter_map(test_module_lines).collect(),
        })
    }

    /// The lines at which the tokens `pattern` follow one another.
    pub fn lines_with(&self, pattern: &[&str]) -> Vec<usize> {
        let matches = |window: &&[Token]| window.iter().zip(pattern).all(|(token, wanted)| token.text == *wanted);
        self.tokens.windows(pattern.len()).filter(matches).map(|window| window[0].line).collect()
    }

    /// Whether `line` lies in a `#[cfg(test)]` module.
    pub fn is_test_line(&self, line: usize) -> bool {
        self.test_modules.iter().any(|lines| lines.contains(&line))
    }

    /// Whether the whole file is test code by its place: under `tests/`, or a `tests` module in a file of its own.
    pub fn is_test_file(&self) -> bool {
        self.path.split('/').any(|part| part == "tests" || part == "tests.rs")
    }

    /// How many lines the file has without its `#[cfg(test)]` modules.
    pub fn lines_without_tests(&self) -> usize {
        let tests: usize = self.test_modules.iter().map(|lines| lines.end() - lines.start() + 1).sum();
        self.lines.saturating_sub(tests)
    }
}

/// A token's place: its bytes in the file, and the line it begins on.
type Place = (Range<usize>, usize);

fn flatten(stream: TokenStream, into: &mut Vec<Place>) {
    let place = |span: proc_macro2::Span| (span.byte_range(), span.start().line);
    for tree in stream {
        match tree {
            TokenTree::Group(group) => {
                into.push(place(group.span_open()));
                flatten(group.stream(), into);
                into.push(place(group.span_close()));
            }
            leaf => into.push(place(leaf.span())),
        }
    }
}

/// Separates code from comments. The lexer turns a doc comment into attribute tokens that all span the comment, and
/// leaves other comments in the gaps between tokens.
fn split_comments(text: &str, lexed: &[Place]) -> (Vec<Token>, Vec<Comment>) {
    let (mut tokens, mut comments) = (Vec::new(), Vec::new());
    let mut end_of_last = 0;
    for (bytes, line) in lexed {
        if bytes.start < end_of_last {
            continue;
        }
        comments.extend(comment_in_gap(text, end_of_last..bytes.start));
        let (text, line) = (text[bytes.clone()].to_owned(), *line);
        if is_comment(&text) {
            comments.push(Comment { text, line });
        } else {
            tokens.push(Token { text, line });
        }
        end_of_last = bytes.end;
    }
    comments.extend(comment_in_gap(text, end_of_last..text.len()));
    (tokens, comments)
}

fn is_comment(text: &str) -> bool {
    text.starts_with("//") || text.starts_with("/*")
}

/// What stands between two tokens, if it is more than white space: one comment or several.
fn comment_in_gap(text: &str, gap: Range<usize>) -> Option<Comment> {
    let comment = text[gap.clone()].trim_start();
    let start = gap.end - comment.len();
    let line = text[..start].matches('\n').count() + 1;
    (!comment.is_empty()).then(|| Comment { text: comment.trim_end().to_owned(), line })
}

fn test_module_lines(item: &syn::Item) -> Option<RangeInclusive<usize>> {
    let syn::Item::Mod(module) = item else { return None };
    module.content.as_ref()?;
    module.attrs.iter().any(is_cfg_test).then(|| module.span().start().line..=module.span().end().line)
}

fn is_cfg_test(attribute: &syn::Attribute) -> bool {
    attribute.path().is_ident("cfg") && attribute.parse_args::<syn::Ident>().is_ok_and(|ident| ident == "test")
}

#[derive(Default)]
struct FunctionVisitor {
    /// The type or trait that the visitor is inside of, innermost last.
    owners: Vec<String>,
    found: Vec<Function>,
}

impl FunctionVisitor {
    fn record(&mut self, signature: &syn::Signature, body: &syn::Block) {
        let (first, last) = (signature.span().start().line, body.span().end().line);
        let owner = self.owners.last().map_or_else(String::new, |owner| format!("{owner}::"));
        let name = format!("{owner}{}", signature.ident);
        self.found.push(Function { name, line: first, lines: last - first + 1 });
    }

    fn within(&mut self, owner: String, visit: impl FnOnce(&mut Self)) {
        self.owners.push(owner);
        visit(self);
        self.owners.pop();
    }
}

impl<'ast> Visit<'ast> for FunctionVisitor {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.record(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.record(&function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(body) = &function.default {
            self.record(&function.sig, body);
        }
        visit::visit_trait_item_fn(self, function);
    }

    fn visit_item_impl(&mut self, block: &'ast syn::ItemImpl) {
        self.within(type_name(&block.self_ty), |visitor| visit::visit_item_impl(visitor, block));
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.within(item.ident.to_string(), |visitor| visit::visit_item_trait(visitor, item));
    }
}

fn type_name(ty: &syn::Type) -> String {
    match ty {
        syn::Type::Path(path) => path.path.segments.last().map_or_else(String::new, |last| last.ident.to_string()),
        syn::Type::Reference(reference) => type_name(&reference.elem),
        _ => "_".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = "//! What it is.\n\
        \n\
        /* a block */ struct Peer; // beside code\n\
        impl Peer {\n\
            fn handle(&self) {\n\
                let text = \"// not a comment\";\n\
            }\n\
        }\n\
        #[cfg(test)]\n\
        mod tests {\n\
            fn claim() {}\n\
        }\n\
        // at the end\n";

    fn sample() -> Outline {
        Outline::of("sample.rs", SAMPLE).unwrap()
    }

    #[test]
    fn comments_are_told_from_strings() {
        let comments: Vec<_> = sample().comments.into_iter().map(|comment| (comment.line, comment.text)).collect();
        let expected = [(1, "//! What it is."), (3, "/* a block */"), (3, "// beside code"), (13, "// at the end")];
        assert_eq!(comments, expected.map(|(line, text)| (line, text.to_owned())));
    }

    #[test]
    fn functions_carry_their_type_and_their_length() {
        let outline = sample();
        let functions: Vec<_> = outline.functions.iter().map(|f| (f.name.as_str(), f.line, f.lines)).collect();
        assert_eq!(functions, [("Peer::handle", 5, 3), ("claim", 11, 1)]);
    }

    #[test]
    fn test_modules_do_not_count() {
        let outline = sample();
        assert_eq!((outline.lines, outline.lines_without_tests()), (13, 9));
        assert!(outline.is_test_line(11) && !outline.is_test_line(5));
    }

    #[test]
    fn patterns_of_tokens_are_found_on_their_line() {
        assert_eq!(sample().lines_with(&["impl", "Peer", "{"]), [4]);
    }

    #[test]
    fn what_is_not_rust_is_refused_with_its_line() {
        let error = Outline::of("broken.rs", "fn one() {}\nfn two( {}\n").unwrap_err();
        assert!(error.to_string().starts_with("broken.rs:2: not valid Rust"), "{error}");
    }
}
