"""Which licences the parts come under: read from modules, wheels and libraries, written as notices and SBOM."""
