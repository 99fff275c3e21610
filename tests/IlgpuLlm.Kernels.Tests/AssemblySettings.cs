// Methods, not classes: a class's tests have their devices to themselves, and the longest class alone would be most of the run.
[assembly: Parallelize(Scope = ExecutionScope.MethodLevel, Workers = 0)]
