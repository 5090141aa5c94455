"""`slicer.app.coreIOManager()`: the few file types that the module reads and writes, through real storage nodes."""

from __future__ import annotations

from pathlib import Path

STORAGE = {
    "vtkMRMLSegmentationNode": "vtkMRMLSegmentationStorageNode",
    "vtkMRMLTableNode": "vtkMRMLTableStorageNode",
    "vtkMRMLVolumeNode": "vtkMRMLVolumeArchetypeStorageNode",
}
FILE_TYPES = {".mrb": "SceneFile", ".mrml": "SceneFile", ".seg.nrrd": "SegmentationFile"}
FILE_TYPES.update(dict.fromkeys((".nrrd", ".nhdr", ".nii", ".nii.gz", ".mha", ".mhd"), "VolumeFile"))


class CoreIOManager:
    """Base/QTCore/qSlicerCoreIOManager.h, reduced to what `slicer.util` calls."""

    def __init__(self, mrml):
        self._mrml = mrml

    def fileType(self, path):
        """The kind of a file by its name."""
        name = Path(path).name.lower()
        endings = [ending for ending in FILE_TYPES if name.endswith(ending)]
        if not endings:
            raise NotImplementedError(f"the type of {path} is not modelled")
        return FILE_TYPES[max(endings, key=len)]

    def fileWriterFileType(self, node):
        """The kind of file that a node is written to."""
        return self._storageClass(node)

    def loadNodes(self, fileType, properties, loaded, messages=None):  # noqa: ARG002
        """Reads a file into the scene, and appends the new node to the collection `loaded`."""
        path = properties["fileName"]
        name = properties.get("name") or Path(path).name.split(".")[0]
        logics = self._mrml.logics
        if fileType == "SceneFile":
            return self._loadScene(path, clear=properties.get("clear", False))
        if fileType == "VolumeFile":
            node = logics["Volumes"].AddArchetypeVolume(path, name, 1 if properties.get("labelmap") else 0)
        elif fileType == "SegmentationFile":
            node = logics["Segmentations"].LoadSegmentationFromFile(path, True, name)
        else:
            raise NotImplementedError(f"reading a {fileType} is not modelled")
        if node is not None:
            loaded.AddItem(node)
        return node is not None

    def saveNodes(self, fileType, properties, messages=None):  # noqa: ARG002
        """Writes the node `nodeID`, or the scene, to `fileName`."""
        path, scene = str(properties["fileName"]), self._mrml.scene
        if fileType == "SceneFile":
            return bool(scene.WriteToMRB(path) if path.endswith(".mrb") else scene.Commit(path))
        node = scene.GetNodeByID(properties["nodeID"])
        storage = node.GetStorageNode() or scene.AddNewNodeByClass(self._storageClass(node))
        storage.SetFileName(path)
        node.SetAndObserveStorageNodeID(storage.GetID())
        return bool(storage.WriteData(node))

    def _loadScene(self, path, clear):
        scene = self._mrml.scene
        if path.endswith(".mrb"):
            return bool(scene.ReadFromMRB(path, clear))
        scene.SetURL(path)
        return bool(scene.Connect() if clear else scene.Import())

    @staticmethod
    def _storageClass(node):
        for className, storage in STORAGE.items():
            if node.IsA(className):
                return storage
        raise NotImplementedError(f"writing a {node.GetClassName()} is not modelled")
