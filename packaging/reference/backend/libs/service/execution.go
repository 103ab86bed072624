package service

// ExecutionWorkflow is the Temporal workflow type that the workflow-runner carries out for the server.
const ExecutionWorkflow = "RunExecution"

// The states of an execution.
const (
	Running   = "running"
	Completed = "completed"
	Failed    = "failed"
)

// Execution is the document that travels through the stack. Path names the services it went through: each one
// adds itself, so a whole path is the proof that every service took part.
type Execution struct {
	ID      string   `json:"execution"`
	Message string   `json:"message"`
	Path    []string `json:"path"`
	State   string   `json:"state"`
	Error   string   `json:"error,omitempty"`
}
