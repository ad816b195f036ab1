//! Rust files as tokens, with their lines.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A token as these checks see it: its text and its line. Comments and the insides of strings are not tokens.
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// All tokens of a file, those in groups included; a group is preceded by `(` or, for all others, `{`.
pub(crate) fn tokens(name: &str, text: &str) -> Vec<Token> {
    fn flatten(stream: TokenStream, out: &mut Vec<Token>) {
        for tree in stream {
            let line = tree.span().start().line;
            match tree {
                TokenTree::Group(group) => {
                    let is_call = group.delimiter() == Delimiter::Parenthesis;
                    out.push(Token { text: if is_call { "(" } else { "{" }.to_owned(), line });
                    flatten(group.stream(), out);
                }
                TokenTree::Ident(ident) => out.push(Token { text: ident.to_string(), line }),
                TokenTree::Punct(punct) => out.push(Token { text: punct.as_char().to_string(), line }),
                TokenTree::Literal(_) => out.push(Token { text: "\"\"".to_owned(), line }),
            }
        }
    }
    let stream: TokenStream = text.parse().unwrap_or_else(|e| panic!("{name}: not Rust: {e}"));
    let mut out = Vec::new();
    flatten(stream, &mut out);
    out
}

/// The lines on which this sequence of tokens starts.
pub(crate) fn lines_of(tokens: &[Token], sequence: &[&str]) -> Vec<usize> {
    tokens
        .windows(sequence.len())
        .filter(|window| window.iter().zip(sequence).all(|(token, text)| token.text == *text))
        .map(|window| window[0].line)
        .collect()
}
