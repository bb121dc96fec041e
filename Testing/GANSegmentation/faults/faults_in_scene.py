"""Faults for `planted_faults.py` at the border to the scene, by file: name, text, what replaces it, why."""

from __future__ import annotations

FAULTS: dict[str, tuple[tuple[str, str, str, str], ...]] = {
    "GANSegmentation/GANSegmentationPanel/scene/comparison.py": (
        (
            "overlapping-references",
            "if len(self._pairs) == self._MOST or _meets(self._reference, reference):",
            "if len(self._pairs) == self._MOST:",
            "of two references that overlap one is lost",
        ),
        (
            "moves-not-noticed",
            (
                "place = (node.GetID(), None if transform is None else "
                "(transform.GetID(), transform.GetTransformToWorldMTime()))"
            ),
            "place = (node.GetID(),)",
            "scores stay although the mask was moved",
        ),
        (
            "names-swapped",
            '{"name": pair.maskName, "reference_name": pair.referenceName}',
            '{"name": pair.referenceName, "reference_name": pair.maskName}',
            "two names swapped",
        ),
    ),
    "GANSegmentation/GANSegmentationPanel/scene/export.py": (
        (
            "first-file-only",
            "    files += [storage.GetFullNameFromNthFileName(i) for i in range(storage.GetNumberOfFileNames())]\n",
            "",
            "a series refers to its first file",
        ),
        (
            "statistics-of-a-name",
            'parameters.SetParameter("ScalarVolume", volumeNode.GetID() if isInScene(volumeNode) else "")',
            'parameters.SetParameter("ScalarVolume", volumeNode.GetName() if isInScene(volumeNode) else "")',
            "a name where an ID is wanted: no intensities",
        ),
        (
            "hand-work-is-automatic",
            'return name if kind == "AUTOMATIC" else None',
            "return name or None",
            "segments with a person's hand in them are written as automatic",
        ),
    ),
    "GANSegmentation/GANSegmentationPanel/scene/nodes.py": (
        (
            "extent-from-the-end",
            "first[:3, 3] = extent[0::2]",
            "first[:3, 3] = extent[1::2]",
            "first and last swapped: images that do not begin at 0 are moved",
        ),
        (
            "item-left-behind",
            "        hierarchy.RemoveItem(item, False, True)\n",
            "        pass\n",
            "the subject hierarchy grows with each node that is taken out",
        ),
        (
            "child-of-volume",
            "hierarchy.SetItemParent(item, hierarchy.GetItemParent(volumeItem))",
            "hierarchy.SetItemParent(item, volumeItem)",
            "the result lies under the volume and not beside it",
        ),
        (
            "transform-inverted",
            "transformNode.GetMatrixTransformToWorld(matrix)",
            "transformNode.GetMatrixTransformFromWorld(matrix)",
            "the way to the world and the way back swapped",
        ),
    ),
    "GANSegmentation/GANSegmentationPanel/scene/output.py": (
        (
            "accepted-not-protected",
            "return logic.GetSegmentStatus(segment) == logic.Completed",
            "return logic.GetSegmentStatus(segment) == logic.Flagged",
            "what somebody has accepted is overwritten",
        ),
        (
            "sequence-refused",
            "not browser.GetSaveChanges(sequence)",
            "browser.GetSaveChanges(sequence)",
            "a missing not: a frame that keeps changes is refused",
        ),
        (
            "empty-refused",
            "own = referenceGeometry(segmentationNode) if segmentation.GetNumberOfSegments() else None",
            "own = referenceGeometry(segmentationNode)",
            "an empty segmentation of another volume cannot be used",
        ),
    ),
    "GANSegmentation/GANSegmentationPanel/scene/reference.py": (
        (
            "value-of-other-segment",
            "value = self._segmentationNode.GetSegmentation().GetSegment(key).GetLabelValue()",
            "value = 1",
            "segments that share an image are all the first one",
        ),
        (
            "silently-resampled",
            "        if not self._resample:\n            raise self._mismatch(own)\n",
            "",
            "a reference of another grid is resampled and nobody asked",
        ),
        (
            "surface-under-transform",
            "matrix = np.linalg.inv(matrixToWorld(node)) @ geometry.index_to_ras",
            "matrix = matrixToWorld(node) @ geometry.index_to_ras",
            "a forgotten inverse: moved surfaces become voxels elsewhere",
        ),
        (
            "size-in-array-order",
            "target.SetDimensions(*wanted.size)",
            "target.SetDimensions(*wanted.shape)",
            "z, y, x where VTK wants x, y, z",
        ),
    ),
    "GANSegmentation/GANSegmentationPanel/scene/region.py": (
        (
            "ras-flip-dropped",
            "point = LPS_TO_RAS @ geometry.index_to_lps",
            "point = geometry.index_to_lps",
            "LPS where the scene has RAS: the views jump to the mirrored place",
        ),
        (
            "last-slice-lost",
            "= first, last + 1",
            "= first, last",
            "off by one: the last slice is not segmented",
        ),
        (
            "region-without-transform",
            "objectToWorld = matrixToWorld(roiNode) @ slicer",
            "objectToWorld = slicer",
            "a region under a transform is taken where it is not seen",
        ),
    ),
    "GANSegmentation/GANSegmentationPanel/scene/review.py": (
        (
            "errors-swapped",
            "falsePositive |= isOwn & ~isOther",
            "falsePositive |= isOther & ~isOwn",
            "false positives are false negatives",
        ),
        (
            "errors-saved",
            "        node.SetSaveWithScene(False)\n        node.Create",
            "        node.Create",
            "the overlay is saved with the scene",
        ),
        (
            "rows-and-columns-swapped",
            "rows.mean() + box[0].start, columns.mean() + box[1].start",
            "columns.mean() + box[1].start, rows.mean() + box[0].start",
            "the views jump to the mirrored place",
        ),
        (
            "area-with-slice-spacing",
            "mask.geometry.spacing[0] * mask.geometry.spacing[1]",
            "mask.geometry.spacing[1] * mask.geometry.spacing[2]",
            "the spacing is x, y, z and not z, y, x",
        ),
    ),
    "GANSegmentation/GANSegmentationPanel/sample_data.py": (
        (
            "listed-twice",
            "        listed.remove(source)\n",
            "        pass\n",
            "a reload adds the entry again",
        ),
        (
            "reference-in-view",
            "        referenceNode.GetDisplayNode().SetVisibility(False)\n",
            "",
            "the answer lies over the image",
        ),
        (
            "window-frozen",
            "                    slicer.app.processEvents()\n",
            "",
            "the window is dead while the patient is drawn",
        ),
    ),
    "GANSegmentation/GANSegmentationPanel/scene/segmentations.py": (
        (
            "box-axes-swapped",
            "for axis in (1, 0):",
            "for axis in (0, 1):",
            "rows and columns swapped",
        ),
        (
            "default-colours-name",
            " or table.GetSingletonTag() or",
            " or",
            "labels get names from Slicer's generic colours",
        ),
        (
            "shared-image-is-one",
            "    mask = imageVoxels(image) == segment.GetLabelValue()\n    box",
            "    mask = imageVoxels(image) != 0\n    box",
            "segments that share an image have each other's voxels",
        ),
        (
            "image-in-lps",
            "worldToNode @ geometry.index_to_ras))",
            "worldToNode @ geometry.index_to_lps))",
            "the flip from LPS to RAS is lost: the mask lies mirrored",
        ),
    ),
    "GANSegmentation/GANSegmentationPanel/scene/sequences.py": (
        (
            "same-voxels-in-each-frame",
            "        array=slicer.util.arrayFromVolume(node),\n",
            "",
            "each frame has the voxels that the views show",
        ),
        (
            "corrections-lost",
            "        browser.SetSaveChanges(target, True)  # what a reader corrects in a frame is kept\n",
            "",
            "what is corrected in a frame is gone with the next one",
        ),
        (
            "tie-not-cut",
            "            browser.RemoveSynchronizedSequenceNode(target.GetID())\n",
            "",
            "after undoing, the browser makes the segmentation again",
        ),
        (
            "unit-from-name",
            "target.SetIndexUnit(source.GetIndexUnit())",
            "target.SetIndexUnit(source.GetIndexName())",
            "a line copied and half changed",
        ),
    ),
    "GANSegmentation/GANSegmentationPanel/scene/tables.py": (
        (
            "infinite-is-undefined",
            "return math.inf if oneIsEmpty and metric in _DISTANCES else math.nan",
            "return math.nan",
            "a structure that was not found has no distance",
        ),
        (
            "table-of-others",
            "bound[0] is maskNode and bound[1] is referenceNode",
            "bound[0] is maskNode or bound[1] is referenceNode",
            "scores against another reference are shown",
        ),
        (
            "csv-without-mark",
            'encoding="utf-8-sig"',
            'encoding="utf-8"',
            "a spreadsheet shows names of other scripts as garbage",
        ),
        (
            "removed-table-filled",
            "    if not isInScene(tableNode):\n        title",
            "    if tableNode is None:\n        title",
            "scores are written into a table that nobody sees",
        ),
    ),
    "GANSegmentation/GANSegmentationPanel/scene/terminology.py": (
        (
            "ambiguous-matched",
            "len(other.get(shared, [])) == 1",
            "len(other.get(shared, [])) >= 1",
            "the first of two candidates is taken",
        ),
        (
            "modifier-ignored",
            "codes = (segment.type, segment.type_modifier, segment.region, segment.region_modifier)",
            "codes = (segment.type, segment.region, segment.region_modifier)",
            "left and right are one structure",
        ),
        (
            "semi-automatic-swapped",
            'tagOf(node, ALGORITHM_TYPE_TAG) != "AUTOMATIC"',
            'tagOf(node, ALGORITHM_TYPE_TAG) == "AUTOMATIC"',
            "what a person drew is written as automatic",
        ),
    ),
    "GANSegmentation/GANSegmentationPanel/scene/undo.py": (
        (
            "scene-observed-for-ever",
            "            self._scene.RemoveObserver(self._tag)\n",
            "",
            "a dropped observer: each reload leaves one behind",
        ),
        (
            "undone-twice",
            "        self._snapshot.undo()\n        self.drop()\n",
            "        self._snapshot.undo()\n",
            "the button stays enabled after undoing",
        ),
        (
            "edit-not-found",
            "return segment.GetName(), (place, mask[box].shape), zlib.crc32(np.packbits(mask[box]).tobytes())",
            "return segment.GetName(), mask[box].shape, 0",
            "an edit that keeps the size of the segment is thrown away",
        ),
        (
            "saved-axes-swapped",
            "for start, part in zip(first, reversed(box), strict=True)\n                for index",
            "for start, part in zip(first, box, strict=True)\n                for index",
            "x and z swapped: the old voxels come back elsewhere",
        ),
    ),
    "GANSegmentation/GANSegmentationPanel/scene/volumes.py": (
        (
            "ijk-to-ras-lost",
            "    volumeNode.GetIJKToRASMatrix(ijkToRas)\n",
            "",
            "the grid has spacing 1 and lies at the origin",
        ),
        (
            "transform-ignored",
            "geometryOfImage(toWorld @ slicer.util.arrayFromVTKMatrix(ijkToRas), image.GetExtent())",
            "geometryOfImage(slicer.util.arrayFromVTKMatrix(ijkToRas), image.GetExtent())",
            "a moved volume is taken where it was",
        ),
        (
            "modality-of-node-ignored",
            "        or volumeNode.GetAttribute(constants.GetDICOMSeriesModalityAttributeName())\n",
            "",
            "a volume that says itself what it is gets no model",
        ),
    ),
    "GANSegmentation/GANSegmentationPanel/scene/writing.py": (
        (
            "failure-leaves-half",
            "        snapshot.restore()\n",
            "",
            "half of a result stays in the scene",
        ),
        (
            "result-not-moved-along",
            "    node.SetAndObserveTransformNodeID(volumeNode.GetTransformNodeID())\n    return node",
            "    return node",
            "the segmentation does not follow its volume",
        ),
        (
            "merge-replaces",
            "part.region if mode is OutputMode.REPLACE else None",
            "part.region if mode is OutputMode.MERGE else None",
            "two modes swapped",
        ),
        (
            "beyond-refused",
            "segmentPatch(node, planned.segmentId, part.geometry, beyond=True)",
            "segmentPatch(node, planned.segmentId, part.geometry)",
            "a segment that reaches beyond the volume cannot be replaced",
        ),
        (
            "not-waiting-for-review",
            "    _waitForReview(segment)\n\n\ndef _combine",
            "\n\ndef _combine",
            "a segment that was flagged stays so with its new voxels",
        ),
    ),
}
