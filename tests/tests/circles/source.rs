//! What one source file says of itself: the modules it declares, the names they have, and the paths their code uses.
//! What is there for tests alone (`#[cfg(test)]`) is left out.

use std::collections::BTreeMap;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemMod, ItemUse, Macro, Path, UseTree, Visibility};

/// What a module says.
#[derive(Default)]
pub(crate) struct Scope {
    /// Names to what they may be: a name can stand for a module and for a function at once.
    pub names: BTreeMap<String, Vec<Name>>,
    /// Paths of `use path::*`.
    pub globs: Vec<Vec<String>>,
    pub paths: Vec<Used>,
    pub children: Vec<Child>,
}

pub(crate) enum Name {
    /// Defined here.
    Item,
    /// Imported, perhaps under another name.
    Import(Vec<String>),
}

/// A path as it stands in the code.
pub(crate) struct Used {
    pub path: Vec<String>,
    /// It is no local variable, nor part of a macro's language: to find nothing under it means that this test is wrong.
    pub must_resolve: bool,
}

pub(crate) struct Child {
    pub name: String,
    /// `None`: in a file of its own.
    pub inline: Option<Scope>,
}

/// Reads the text of a module.
pub(crate) fn read(text: &str) -> syn::Result<Scope> {
    let file = syn::parse_file(text)?;
    Ok(if for_tests(&file.attrs) { Scope::default() } else { scope(&file.items) })
}

fn scope(items: &[Item]) -> Scope {
    let mut scope = Scope::default();
    items.iter().for_each(|item| scope.visit_item(item));
    scope
}

/// Whether what has these attributes is compiled for unit tests alone.
fn for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().filter(|attribute| attribute.path().is_ident("cfg")).any(|attribute| {
        let condition = attribute.meta.require_list().map(|list| list.tokens.to_string());
        condition.is_ok_and(|condition| condition == "test" || condition.starts_with("all (test"))
    })
}

fn is_of_the_compiler(attribute: &Attribute) -> bool {
    ["allow", "cfg", "cfg_attr", "derive", "expect"]
        .iter()
        .any(|name| attribute.path().is_ident(name))
}

/// The attributes of an item, and the name it gives to something, if it gives one.
fn declared(item: &Item) -> (&[Attribute], Option<String>) {
    let (attributes, name) = match item {
        Item::Const(item) => (&item.attrs, Some(&item.ident)),
        Item::Enum(item) => (&item.attrs, Some(&item.ident)),
        Item::Fn(item) => (&item.attrs, Some(&item.sig.ident)),
        Item::Macro(item) => (&item.attrs, item.ident.as_ref()),
        Item::Static(item) => (&item.attrs, Some(&item.ident)),
        Item::Struct(item) => (&item.attrs, Some(&item.ident)),
        Item::Trait(item) => (&item.attrs, Some(&item.ident)),
        Item::TraitAlias(item) => (&item.attrs, Some(&item.ident)),
        Item::Type(item) => (&item.attrs, Some(&item.ident)),
        Item::Union(item) => (&item.attrs, Some(&item.ident)),
        Item::Impl(item) => (&item.attrs, None),
        Item::Mod(item) => (&item.attrs, None),
        Item::Use(item) => (&item.attrs, None),
        Item::ForeignMod(item) => (&item.attrs, None),
        _ => return (&[], None),
    };
    (attributes, name.map(ToString::to_string))
}

impl Scope {
    fn name(&mut self, name: String, is: Name) {
        self.names.entry(name).or_default().push(is);
    }

    /// `a::{b, c as d, self, e::*}`, after `before`.
    fn import(&mut self, tree: &UseTree, mut before: Vec<String>) {
        match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.import(&path.tree, before);
            }
            UseTree::Group(group) => {
                group.items.iter().for_each(|item| self.import(item, before.clone()));
            }
            UseTree::Glob(_) => self.globs.push(before),
            UseTree::Name(name) if name.ident == "self" => {
                let name = before.last().cloned().unwrap_or_default();
                self.imported(name, before);
            }
            UseTree::Name(name) => {
                before.push(name.ident.to_string());
                self.imported(name.ident.to_string(), before);
            }
            UseTree::Rename(rename) => {
                if rename.ident != "self" {
                    before.push(rename.ident.to_string());
                }
                self.imported(rename.rename.to_string(), before);
            }
        }
    }

    fn imported(&mut self, name: String, path: Vec<String>) {
        self.paths.push(Used { must_resolve: is_anchored(&path), path: path.clone() });
        self.name(name, Name::Import(path));
    }

    /// Paths in what is given to a macro, whose language is unknown: words joined by `::`.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match &token {
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.path_in_macro(std::mem::take(&mut path));
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                _ => {
                    self.path_in_macro(std::mem::take(&mut path));
                    colons = 0;
                }
            }
            if let TokenTree::Group(group) = token {
                self.tokens(group.stream());
            }
        }
        self.path_in_macro(path);
    }

    fn path_in_macro(&mut self, path: Vec<String>) {
        if !path.is_empty() {
            self.paths.push(Used { path, must_resolve: false });
        }
    }
}

/// Whether a path begins where this crate's modules do, so that it can't be a variable's or another crate's.
fn is_anchored(path: &[String]) -> bool {
    path.len() > 1 && matches!(path[0].as_str(), "crate" | "super" | "self")
}

impl<'ast> Visit<'ast> for Scope {
    fn visit_item(&mut self, item: &'ast Item) {
        let (attributes, name) = declared(item);
        if for_tests(attributes) {
            return;
        }
        if let Some(name) = name {
            self.name(name, Name::Item);
        }
        visit::visit_item(self, item);
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        let inline = item.content.as_ref().map(|(_, items)| scope(items));
        self.children.push(Child { name: item.ident.to_string(), inline });
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.import(&item.tree, Vec::new());
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if !for_tests(&function.attrs) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_path(&mut self, path: &'ast Path) {
        let words: Vec<String> = path.segments.iter().map(|part| part.ident.to_string()).collect();
        self.paths.push(Used { must_resolve: is_anchored(&words), path: words });
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, called: &'ast Macro) {
        self.visit_path(&called.path);
        self.tokens(called.tokens.clone());
    }

    /// `pub(in path)` uses nothing of what it names.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    /// Paths that a derive puts into code, as in `#[error("{}", told(.0))]`.
    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let (Ok(list), false) = (attribute.meta.require_list(), is_of_the_compiler(attribute)) {
            self.tokens(list.tokens.clone());
        }
    }
}
