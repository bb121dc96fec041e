# Slicer packages the installed tree with CPack; the tests take the tree itself.
