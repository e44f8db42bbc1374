"""The rules that ship with MozDef, one module each, by product."""
