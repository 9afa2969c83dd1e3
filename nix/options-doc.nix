# The option reference as Markdown, from the declarations. Committed as docs/nixos-options.md.
{lib}: options: let
  shown = lib.filter (option: option.visible && !option.internal && lib.hasPrefix "services.ingot." option.name) (
    lib.optionAttrSetToDocList options
  );
  text = value:
    if value ? _type
    then value.text
    else lib.generators.toPretty {} value;
  line = label: value: lib.optionalString (value != null) "* ${label}: `${lib.replaceStrings ["\n"] [" "] (text value)}`\n";
  entry = option: ''
    ### `${lib.removePrefix "services.ingot." option.name}`

    ${lib.trim (toString (option.description or ""))}

    * type: ${option.type}
    ${line "default" (option.default or null)}${line "example" (option.example or null)}'';
in
  ''
    # Options of the NixOS module

    Made from the declarations in `nixos-modules/`; `.ci/nix` compares. All are below `services.ingot`.

  ''
  + lib.concatStringsSep "\n" (map entry (lib.sort (a: b: a.name < b.name) shown))
