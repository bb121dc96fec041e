"""What scripts, and the panel, ask of the module. Nothing that computes is imported before it is needed."""

import slicer
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic

from .parameters import GANSegmentationParameterNode


class GANSegmentationLogic(ScriptedLoadableModuleLogic):
    """Segment and compare nodes of the scene, from the panel, the Python console or a script.

    Example::

        logic = slicer.util.getModuleLogic("GANSegmentation")
        segmentationNode = logic.process(slicer.util.getNode("CT"))
        for scores in logic.compare(segmentationNode, slicer.util.getNode("reference")):
            print(scores["name"], scores["dice"], scores["hd95_mm"])

    `process`, `compare`, `checkInput`, `exportSegmentation` and `segmentFolder` return when they are done; `start` and
    its kind return a `GANSegmentationPanel.jobs.job.Job` at once. Errors are
    `GANSegmentationLib.errors.GANSegmentationError`, with what happened and what to do; of a job, `Job.result` raises
    them.

    Parameters
    ----------
    executor:
        Runs the jobs (`GANSegmentationPanel.jobs.executor`). None: a background process where there is a main window
        and the settings want it, else this process.
    """

    def __init__(self, executor=None):
        ScriptedLoadableModuleLogic.__init__(self)
        from . import makeLibraryImportable

        makeLibraryImportable()
        from .jobs.job_queue import JobQueue
        from .preferences import Preferences

        self._givenExecutor = self._executor = executor
        self._queue = JobQueue()
        self._library = None
        self._undoStep = None
        self.preferences = Preferences()

    def getParameterNode(self):
        return GANSegmentationParameterNode(super().getParameterNode())

    # What runs

    @property
    def executor(self):
        """What runs the jobs."""
        if self._executor is None:
            self._executor = self._makeExecutor()
        return self._executor

    def _makeExecutor(self):
        if not self._wantsProcess():
            from .jobs.executor import InlineExecutor

            return InlineExecutor()
        from .process.process_executor import ProcessExecutor

        return ProcessExecutor(idleMinutes=self.preferences.idleMinutes)

    def _wantsProcess(self) -> bool:
        options = slicer.app.commandOptions()
        return not options.noMainWindow and self.preferences.runMode == "process"

    @property
    def hasBackground(self) -> bool:
        """Whether jobs run in a process of their own, so that the panel may ask something while nobody waits."""
        return bool(self.executor.isInBackground)

    isInBackground = hasBackground

    @property
    def job(self):
        """The user's job that runs; None if there is none."""
        return self._queue.job

    @property
    def isRunning(self) -> bool:
        """Whether a job of the user runs."""
        return self._queue.isRunning

    def cancel(self) -> None:
        """Stop the job that runs, if any; the scene stays as it was."""
        self._queue.cancel()

    def cancelAll(self) -> None:
        """Stop whatever runs, also what the panel asks in the background."""
        self._queue.cancelAll()

    def cancelOfScene(self) -> None:
        """Stop what is about nodes of the scene; a batch goes on, for it goes from files to files."""
        self._queue.cancelOfScene()

    def release(self) -> None:
        """Let go of the loaded model and the memory of the GPU."""
        if self._executor is not None:
            self._executor.release()

    def restartWorker(self) -> None:
        """End what runs the jobs; the next job begins with a new one, by the settings of then."""
        executor, self._executor = self._executor, self._givenExecutor  # first: who hears of a cancel may ask again
        self.cancelAll()
        if executor is not None:
            executor.shutdown()

    def applyPreferences(self) -> None:
        """Take over settings that need no new worker."""
        if self._executor is not None and self.hasBackground:
            self._executor.idleMinutes = self.preferences.idleMinutes

    def close(self) -> None:
        """Stop everything and let go of the scene; the panel goes away."""
        self.cancelAll()
        if self._executor is not None:
            self._executor.shutdown()
        if self._undoStep is not None:
            self._undoStep.close()
            self._undoStep = None

    # Models

    @property
    def library(self):
        """The models on this computer (`GANSegmentationLib.models.ModelLibrary`)."""
        folder = self.preferences.modelFolder
        if self._library is None or self._library.user != folder:
            from GANSegmentationLib.models import ModelLibrary

            self._library = ModelLibrary(user=folder)  # remembers the packages that it has opened
        return self._library

    def models(self):
        """The models that can be used, shipped and imported: a list of `GANSegmentationLib.models.Package`."""
        return self.library.list("segmentation")

    def package(self, modelId=None, volumeNode=None, force=False):
        """The model of an ID, else the one for the modality of a volume; raises as `ModelLibrary.get` and `choose`."""
        if modelId:
            return self.library.get(modelId)
        return self.library.choose(self.modalityOf(volumeNode), any_modality=force)

    def importModel(self, path, confirmReplace=None):
        """Check a model package and copy it into the user's library.

        Parameters
        ----------
        path:
            A ``.ganseg`` file or folder.
        confirmReplace:
            Asked with a sentence if that version of the model is there with other contents; None never replaces.

        Returns
        -------
        The `GANSegmentationLib.models.Package`; None if it was not to be replaced.
        """
        from . import model_list

        return model_list.importModel(self.library, path, confirmReplace=confirmReplace or (lambda what: False))

    def removeModel(self, modelId) -> None:
        """Remove an imported model from this computer; raises as `ModelLibrary.remove`."""
        self.library.remove(modelId)

    def modalityOf(self, volumeNode):
        """The DICOM modality of a volume node; None where it is not known."""
        from GANSegmentationLib.errors import GANSegmentationError

        from . import scene

        if volumeNode is None:
            return None
        try:
            return scene.volumeFromNode(volumeNode).modality
        except GANSegmentationError:
            return None

    def modalityProblem(self, package, volumeNode, force=False) -> str:
        """Why a model is not for the modality of a volume, as a sentence; empty where it is, or where forced."""
        modality = self.modalityOf(volumeNode)
        if force or modality is None or modality in package.card.modalities:
            return ""
        return _("{title} was made for {modalities}; {volume} is {modality}.").format(
            title=package.card.title,
            modalities=" / ".join(package.card.modalities),
            volume=volumeNode.GetName(),
            modality=modality,
        )

    # Segmenting

    def start(
        self,
        volumeNodes,
        modelId=None,
        outputSegmentation=None,
        options=None,
        onEvent=None,
        onEnd=None,
        onStarting=None,
    ):
        """Start to segment a volume, and return the job at once.

        Parameters
        ----------
        volumeNodes:
            A scalar volume node, or a list of them on one grid for a model with several channels.
        modelId:
            The ID of a model (`models`); None to choose by the modality of the first volume.
        outputSegmentation:
            The segmentation node that the result goes into; None for a new one beside the volume.
        options:
            A `GANSegmentationPanel.jobs.options.SegmentOptions`.
        onEvent:
            Called with every event of the run (`GANSegmentationLib.protocol`): stages, progress, warnings.
        onEnd:
            Called once with the job; `Job.result` gives a `GANSegmentationPanel.jobs.steps.Segmented`, or raises.
        onStarting:
            Called without arguments when the job is accepted, before voxels are handed over.

        Raises
        ------
        GANSegmentationError
            ``no_volume``; ``job_running``; as `package`.
        """
        from . import scene
        from .jobs import steps
        from .jobs.options import SegmentOptions

        nodes, options = steps.asList(volumeNodes), options or SegmentOptions()
        steps.requireVolume(nodes)
        scene.volumeFromNode(nodes[0])  # says what is wrong with it
        package = self.package(modelId, nodes[0], options.force)

        def finish(job) -> None:
            if job.error is None:
                self.undoStep.keep(job.value.wayBack)
            if onEnd is not None:
                onEnd(job)

        return self._start(
            lambda job: steps.segment(job, package, nodes, outputSegmentation, options), onEvent, finish, onStarting
        )

    def process(self, volumeNodes, modelId=None, outputSegmentation=None, options=None, onEvent=None):
        """Segment a volume; returns the segmentation node when it is done.

        The arguments are those of `start`; raises as `start` and as the job.
        """
        job = self.start(volumeNodes, modelId, outputSegmentation, options, onEvent)
        return self._finished(job).segmentationNode

    @property
    def undoStep(self):
        """The way back from the last result (`GANSegmentationPanel.scene.UndoStep`)."""
        if self._undoStep is None:
            from . import scene

            self._undoStep = scene.UndoStep()
        return self._undoStep

    def undo(self) -> None:
        """Take the last result out of the scene again; raises ``undo_impossible`` with the reason."""
        self.undoStep.undo()

    def checkInput(self, volumeNodes, modelId=None, options=None) -> list[dict]:
        """What is suspicious about a volume for a model, before a run.

        The arguments are those of `start`. Gives a list of dicts with ``code`` and ``message``, empty if nothing is
        suspicious; what would stop a run is raised.
        """
        return self._finished(self._start(self._checkSteps(volumeNodes, modelId, options)))

    def startCheck(self, volumeNodes, modelId=None, options=None, onEnd=None):
        """As `checkInput`, in the background: it waits for other jobs, and makes way for those of the user."""
        return self._startInBackground("check", self._checkSteps(volumeNodes, modelId, options), onEnd)

    def _checkSteps(self, volumeNodes, modelId, options):
        from . import scene
        from .jobs import steps
        from .jobs.options import SegmentOptions

        nodes, options = steps.asList(volumeNodes), options or SegmentOptions()
        steps.requireVolume(nodes)
        scene.volumeFromNode(nodes[0])  # says what is wrong with it
        package = self.package(modelId, nodes[0], options.force)
        return lambda job: steps.check(job, package, nodes, options)

    def startProbe(self, onEnd=None):
        """Ask in the background what computes; the job's result is that of `GANSegmentationLib.worker.probe`."""
        from .jobs import steps

        return self._startInBackground("probe", steps.probe, onEnd)

    # Comparing

    def startComparison(self, segmentationNode, referenceNode, options=None, onEvent=None, onEnd=None):
        """Start to score a segmentation against a reference.

        The job gives a `GANSegmentationPanel.jobs.steps.Compared`.

        Parameters
        ----------
        segmentationNode:
            The segmentation node to judge.
        referenceNode:
            A segmentation node or a labelmap volume node.
        options:
            A `GANSegmentationPanel.jobs.options.CompareOptions`.
        """
        from .jobs import steps
        from .jobs.options import CompareOptions

        options = options or CompareOptions()
        return self._start(lambda job: steps.compare(job, segmentationNode, referenceNode, options), onEvent, onEnd)

    def compare(self, segmentationNode, referenceNode, surfaceToleranceMm=None, perSlice=False, options=None):
        """Score a segmentation against a reference.

        Parameters
        ----------
        segmentationNode, referenceNode:
            As `startComparison`.
        surfaceToleranceMm:
            Also give the surface Dice with this tolerance.
        perSlice:
            Also give the Dice of the slices that mask or reference has, as ``slices``: dicts of ``index`` and ``dice``.
        options:
            A `GANSegmentationPanel.jobs.options.CompareOptions` in the place of these two.

        Returns
        -------
        A dict for each structure: ``name``, ``reference_name``, ``status``, ``dice``, ``iou``, ``hd_mm``, ``hd95_mm``,
        ... and ``chaos`` (`GANSegmentationLib.metrics.LabelScores`); what is undefined or infinite is None.
        """
        from .jobs.options import CompareOptions

        options = options or CompareOptions(surfaceToleranceMm=surfaceToleranceMm, sliceScores=perSlice)
        return self._finished(self.startComparison(segmentationNode, referenceNode, options)).scores

    def addScoresTable(self, scores, name=None):
        """A table node with the scores of `compare`, a row for each structure."""
        from . import scene

        return scene.showScores(scores, name=name or "")

    # Files

    def startExport(self, segmentationNode, path, volumeNode=None, onEnd=None):
        """Start to write a segmentation to a file; the ending decides the format, ``.dcm`` is DICOM SEG.

        Parameters
        ----------
        volumeNode:
            The volume that was segmented: DICOM SEG refers to its files.
        """
        from .jobs import steps

        return self._start(lambda job: steps.export(job, segmentationNode, volumeNode, path), None, onEnd)

    def exportSegmentation(self, segmentationNode, path, volumeNode=None):
        """As `startExport`; returns the path when it is written."""
        return self._finished(self.startExport(segmentationNode, path, volumeNode))

    def startBatch(
        self,
        inputFolder,
        outputFolder,
        modelId=None,
        referenceFolder=None,
        fileFormat="seg.nrrd",
        retryFailed=False,
        device="auto",
        force=False,
        onEvent=None,
        onEnd=None,
    ):
        """Start to segment a folder of scans; nothing of it goes into the scene.

        Parameters
        ----------
        inputFolder, outputFolder, referenceFolder:
            As ``ganseg batch``: masks and ledger go to the output, in the places of the scans. What is done there is
            not done again.
        modelId:
            The ID of a model; None chooses for each scan by its modality.
        fileFormat:
            ``seg.nrrd``, ``nii.gz``, ``nrrd``, ``mha``, ``dicom-seg``.
        """
        from .jobs import steps

        request = {
            "input": str(inputFolder),
            "output": str(outputFolder),
            "references": "" if referenceFolder is None else str(referenceFolder),
            "package": str(self.library.get(modelId).path) if modelId else "",
            "models": str(self.library.user),
            "format": fileFormat,
            "retry_failed": retryFailed,
            "device": device,
            "force": force,
        }
        return self._start(lambda job: steps.batch(job, request), onEvent, onEnd)

    def segmentFolder(self, inputFolder, outputFolder, modelId=None, referenceFolder=None, **options) -> dict:
        """As `startBatch`; returns how many are ``done``, ``failed`` and ``pending``, and the path of the table."""
        return self._finished(self.startBatch(inputFolder, outputFolder, modelId, referenceFolder, **options))

    # About

    @property
    def version(self) -> str:
        """The version of the library."""
        import GANSegmentationLib

        return GANSegmentationLib.__version__

    def diagnostics(self, probe=None, state="", error=None, log=()) -> str:
        """What a bug report needs, without anything of a patient.

        Parameters
        ----------
        probe, state, error, log:
            What is known of them, as `GANSegmentationPanel.diagnostics.report`.
        """
        from . import diagnostics

        nodes = slicer.util.getNodesByClass("vtkMRMLStorableNode")
        return diagnostics.report(
            extension=self.version,
            application=f"{slicer.app.applicationName} {slicer.app.applicationVersion}, "
            f"revision {slicer.app.repositoryRevision}",
            probe=probe,
            library=self.library,
            settings=self.preferences.toDict(),
            state=state,
            error=error,
            log=log,
            names=[node.GetName() for node in nodes if node.GetName()],
        )

    def _start(self, makeSteps, onEvent=None, onEnd=None, onStarting=None):
        from .jobs.job import Job

        job = Job(self.executor, makeSteps, onEvent, onEnd)
        self._queue.start(job, onStarting)
        return job

    def _startInBackground(self, kind, makeSteps, onEnd):
        from .jobs.job import Job

        job = Job(self.executor, makeSteps, None, onEnd)
        self._queue.startInBackground(kind, job)
        return job

    def _finished(self, job):
        job.wait()
        return job.result()
