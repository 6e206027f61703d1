module
public import Lean
open Lean

/-! Checks one module a line of standard input, `module|source|olean`, each in an environment of its own, by the
function that the command `lean` calls. Starting Lean takes some 20 s in WebAssembly, checking a small module 1 to 5 s. -/

public partial def checkEach (stdin : IO.FS.Stream) : IO Unit := do
  match (← stdin.getLine).trimAscii.copy.splitOn "|" with
  | [name, source, olean] =>
    try
      let text ← IO.FS.readFile source
      let checked ← Elab.runFrontend text {} source name.toName (oleanFileName? := some olean) (jsonOutput := true)
      IO.println (if checked.isSome then "\n@@passed" else "\n@@failed")
    catch error => IO.println s!"\n@@crashed {error}"
    checkEach stdin
  | _ => pure ()

public def main (_ : List String) : IO Unit := do
  IO.println "\n@@ready"
  checkEach (← IO.getStdin)
